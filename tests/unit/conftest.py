"""How properties are tried on whatever machine runs them: its speed proves nothing of them."""

from hypothesis import HealthCheck, settings

settings.register_profile("any", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any")
