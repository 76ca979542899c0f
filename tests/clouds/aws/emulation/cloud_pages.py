"""Lists as the real API gives them: in an order of its own, and in pages.

Which calls have pages, and how an answer says that there is more, is the SDK's own data. EC2 gives
all at once to who names no size; here it does not, as it does not with many things.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlencode

import botocore.session

from clouds.aws.emulation.cloud_manners import AwsManners

IN_ORDER = ("DescribeScalingActivities",)
"""Lists whose order is promised: the latest first.
https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeScalingActivities.html"""
BY_NAME = re.compile(r"^(?!Filter|Owner)\w+\.(member\.)?1$")
"""A parameter of a call that names things one by one: its answer has no pages."""
NAMES = ("id", "arn", "name")


@cache
def _find_session() -> Any:  # noqa: ANN401 - botocore's
    return botocore.session.get_session()


@cache
def find_paging(service: str, action: str) -> Mapping[str, str] | None:
    """Return where an action's answer has its list and its token; None for one without pages."""
    session = _find_session()
    if service not in ("ec2", "elbv2", "autoscaling"):
        return None
    try:
        paging = session.get_paginator_model(service).get_paginator(action)
    except ValueError:
        return None
    model = session.get_service_model(service).operation_model(action)
    listed, said = (
        model.output_shape.members[paging[key]] for key in ("result_key", "output_token")
    )
    return {
        "list": listed.serialization.get("name", paging["result_key"]),
        "token": said.serialization.get("name", paging["output_token"]),
        "asked": paging["input_token"],
        "limit": paging["limit_key"],
    }


def ask_for_all(service: str, action: str, body: bytes) -> bytes:
    """Return a request without the page that it asks for: moto is asked for the whole list."""
    paging = find_paging(service, action)
    if paging is None:
        return body
    fields = parse_qsl(body.decode(), keep_blank_values=True)
    dropped = (paging["asked"], paging["limit"])
    return urlencode([(name, text) for name, text in fields if name not in dropped]).encode()


def cut_page(
    service: str, action: str, parameters: Mapping[str, str], body: bytes, manners: AwsManners
) -> bytes:
    """Return an answer with the page that was asked for."""
    paging = find_paging(service, action)
    if paging is None or not manners.page or any(BY_NAME.match(name) for name in parameters):
        return body
    root = ET.fromstring(body)  # noqa: S314 - moto's own
    space = root.tag.partition("}")[0].strip("{") if "}" in root.tag else ""
    start = f"{{{space}}}" if space else ""
    parent, found = _find_list(root, start + paging["list"])
    if found is None:
        return body
    keys = {item: _find_key(item, manners) for item in found}
    items = [*found] if action in IN_ORDER else sorted(found, key=keys.__getitem__)
    after = parameters.get(paging["asked"], "")
    begin = next((n + 1 for n, item in enumerate(items) if keys[item] == after), 0)
    size = min(int(parameters.get(paging["limit"], manners.page)), manners.page)
    page = items[begin : begin + size]
    for item in [*found]:
        found.remove(item)
    found.extend(page)
    for token in [one for one in parent if one.tag == start + paging["token"]]:
        parent.remove(token)
    if begin + size < len(items):
        ET.SubElement(parent, start + paging["token"]).text = keys[page[-1]]
    if space:
        ET.register_namespace("", space)
    return ET.tostring(root)


def _find_list(root: ET.Element, tag: str) -> tuple[ET.Element, ET.Element | None]:
    for parent in root.iter():
        for child in parent:
            if child.tag == tag:
                return parent, child
    return root, None


def _find_key(item: ET.Element, manners: AwsManners) -> str:
    """Return what orders a thing among others: drawn from what names it."""
    named = (
        leaf.text
        for leaf in item.iter()
        if leaf.text and not [*leaf] and leaf.tag.rpartition("}")[2].lower().endswith(NAMES)
    )
    return f"{manners.draw('order', next(named, '')):.17f}"
