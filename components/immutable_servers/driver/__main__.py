"""Run the driver: `python -m immutable_servers.driver`."""

from immutable_servers.driver.cli import main

if __name__ == "__main__":
    main()
