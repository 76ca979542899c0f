"""Two services behind one listener that speaks HTTPS, told apart by host name."""

from pathlib import Path
from typing import Any

from harness.aws.aws_project import AwsProject, count_moves
from harness.aws.cloud import Cloud

HOSTS = {"web": "www.example.com", "api": "api.example.com"}


def test_two_services_by_host_over_https(tmp_path: Path, cloud: Cloud) -> None:
    """Each host's rule points to its own service, HTTP is sent to HTTPS, and one may fail alone."""
    project = AwsProject.create(tmp_path, cloud)
    acm = cloud.client("acm")
    certificate = acm.request_certificate(DomainName="*.example.com")["CertificateArn"]
    project.aws |= {"certificate": certificate, "redirect": 80}
    web = {**project.services["web"], "servers": 1}
    project.services = {name: {**web, "route": {"host": host}} for name, host in HOSTS.items()}
    project.write_settings()
    done = project.run()
    assert done.code == 0, done.text

    secure, plain = (find_listener(cloud, port) for port in (443, 80))
    assert secure["Certificates"] == [{"CertificateArn": certificate}]
    assert secure["DefaultActions"][0]["FixedResponseConfig"]["StatusCode"] == "503"
    redirect = plain["DefaultActions"][0]["RedirectConfig"]
    assert (redirect["Port"], redirect["Protocol"]) == ("443", "HTTPS")
    before = find_hosts(cloud)
    assert before.keys() == {*HOSTS.values()}
    assert before[HOSTS["web"]].startswith("web-")
    assert before[HOSTS["api"]].startswith("api-")

    project.edit("app/server.txt", "two")
    project.break_app("api")
    done = project.run()
    done.assert_failed("VerificationError", "test_app_is_not_broken")
    after = find_hosts(cloud)
    assert count_moves(done) == 1
    assert after[HOSTS["api"]] == before[HOSTS["api"]]
    assert after[HOSTS["web"]] != before[HOSTS["web"]]
    assert after[HOSTS["web"]].split("-")[1] in project.states()


def find_listener(cloud: Cloud, port: int) -> dict[str, Any]:
    """Return the balancer's listener on a port."""
    elb = cloud.client("elbv2")
    balancer = elb.describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"]
    found = elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"]
    return dict(next(one for one in found if one["Port"] == port))


def find_hosts(cloud: Cloud) -> dict[str, str]:
    """Return the only target group that each host name leads to, by its name."""
    listener = find_listener(cloud, 443)["ListenerArn"]
    found = {}
    for rule in cloud.client("elbv2").describe_rules(ListenerArn=listener)["Rules"]:
        for condition in rule["Conditions"]:
            if condition["Field"] == "host-header":
                (group,) = rule["Actions"][0]["ForwardConfig"]["TargetGroups"]
                (host,) = condition.get("Values") or condition["HostHeaderConfig"]["Values"]
                found[host] = group["TargetGroupArn"].split("/")[-2]
    return found
