"""Two services behind one listener that speaks HTTPS, told apart by host name."""

from collections.abc import Mapping
from typing import Any

from clouds.shared_tests.hosts import HOSTS, Hosts
from harness.aws.aws_project import AwsProject
from harness.aws.cloud import Cloud
from harness.checkout import Outcome


class TestHosts(Hosts[AwsProject]):
    """Each host has a rule of the listener, and the certificate is one of ACM's."""

    def find_settings(self, project: AwsProject) -> Mapping[str, Any]:
        """Request a certificate."""
        acm = project.cloud.client("acm")
        made = acm.request_certificate(DomainName="*.example.com")
        return {"certificate": made["CertificateArn"]}

    def see_the_balancer(self, project: AwsProject, done: Outcome) -> None:
        """There are two listeners."""
        secure, plain = (find_listener(project.cloud, port) for port in (443, 80))
        assert secure["Certificates"] == [{"CertificateArn": project.own["certificate"]}]
        assert secure["DefaultActions"][0]["FixedResponseConfig"]["StatusCode"] == "404"
        redirect = plain["DefaultActions"][0]["RedirectConfig"]
        assert (redirect["Port"], redirect["Protocol"]) == ("443", "HTTPS")

    def find_hosts(self, project: AwsProject) -> Mapping[str, str]:
        """Each rule forwards to the one target group of a generation, which its name says."""
        listener = find_listener(project.cloud, 443)["ListenerArn"]
        found = {}
        for rule in project.cloud.client("elbv2").describe_rules(ListenerArn=listener)["Rules"]:
            for condition in rule["Conditions"]:
                if condition["Field"] == "host-header":
                    (group,) = rule["Actions"][0]["ForwardConfig"]["TargetGroups"]
                    (host,) = condition.get("Values") or condition["HostHeaderConfig"]["Values"]
                    service, generation, _ = group["TargetGroupArn"].split("/")[-2].split("-", 2)
                    assert host == HOSTS[service]
                    found[service] = generation
        return found


def find_listener(cloud: Cloud, port: int) -> dict[str, Any]:
    """Return the balancer's listener on a port."""
    elb = cloud.client("elbv2")
    balancer = elb.describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"]
    found = elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"]
    return dict(next(one for one in found if one["Port"] == port))
