"""``python -m tests.deploy.moto_server``: a moto server for the real command line. It prints its URL.

A POST to /moto-api/reset empties the account. The body names the folder DOCUMENTS and the account's concurrency.
A POST to /moto-api/fork answers the URL of a copy of the server with its account, a process of its own.

Chalice sends Swagger 2, but moto reads only OpenAPI 3 with a description and complete mocks. So this server completes
each document before moto reads it, and writes it to the folder DOCUMENTS as Chalice sent it. It also adds what moto
lacks: the compression of an API, IoT authorizers, the protocol of an IoT endpoint, the log format of a function, and a change of its processor. It
keeps a stage's settings when the stage is deployed again, and can remove a stage with throttles from a usage plan.
A restored table has the items of the time that was asked for. In front of moto stands tests.deploy.strict_aws.
"""

import datetime
import importlib
import json
import os
import re
import threading
import time
from pathlib import Path

import moto.awslambda.urls
import moto.moto_server.threaded_moto_server as moto_threaded
from moto.apigateway.models import APIGatewayBackend, RestAPI, UsagePlan
from moto.awslambda.models import LambdaBackend, LambdaFunction
from moto.awslambda.responses import LambdaResponse
from moto.core.utils import unix_time, utcnow
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.responses import DynamoHandler
from moto.iot.models import FakeDomainConfiguration, IoTBackend, iot_backends
from moto.iot.responses import IoTResponse
from moto.moto_api._internal.responses import MotoAPIResponse
from moto.server import ThreadedMotoServer

from tests.deploy.strict_aws import STRICT, items_at, layer

AUTHORIZERS = {}
ACCOUNT = {}
"""What the last reset set: ``documents``, a folder, and ``concurrency``."""


def completed(document):
    documents = Path(ACCOUNT["documents"])
    documents.mkdir(parents=True, exist_ok=True)
    (documents / f"{len(list(documents.iterdir())):03d}.json").write_text(json.dumps(document))
    document = json.loads(json.dumps(document))
    document.pop("swagger", None)
    document["openapi"] = "3.0.0"
    document["info"]["description"] = ""
    for methods in document["paths"].values():
        for method in methods.values():
            integration = method["x-amazon-apigateway-integration"]
            integration.setdefault("uri", "mock")
            integration.setdefault("httpMethod", "POST")
    return document


put = APIGatewayBackend.put_rest_api


def put_rest_api(self, function_id, api_doc, fail_on_warnings, mode="merge"):
    return put(self, function_id, completed(api_doc) if "swagger" in api_doc else api_doc, fail_on_warnings, mode)


def import_rest_api(self, api_doc, fail_on_warnings):
    api = self.create_rest_api(name=api_doc["info"]["title"], description="")
    put_rest_api(self, api.id, api_doc, fail_on_warnings)
    return api


patch_rest_api = RestAPI.apply_patch_operations


def patch_rest_api_of(self, operations):
    """Change an API, also from which size on it compresses. An empty text turns compression off."""
    for operation in operations:
        if operation["path"] == "/minimumCompressionSize":
            self.minimum_compression_size = int(operation["value"]) if operation["value"] else None
    patch_rest_api(self, operations)


def name_of(response):
    return response.uri.rpartition("/")[2].partition("?")[0]


def create_authorizer(self):
    name = name_of(self)
    AUTHORIZERS[name] = {"authorizerName": name, **json.loads(self.body)}
    return json.dumps({"authorizerName": name})


def describe_authorizer(self):
    found = AUTHORIZERS.get(name_of(self))
    if found is None:
        body = {"message": "none", "__type": "ResourceNotFoundException"}
        return 404, {"status": 404, "x-amzn-errortype": "ResourceNotFoundException"}, json.dumps(body)
    return json.dumps({"authorizerDescription": found})


def update_authorizer(self):
    AUTHORIZERS[name_of(self)] |= json.loads(self.body)
    return json.dumps({"authorizerName": name_of(self)})


def delete_authorizer(self):
    name = name_of(self)
    assert AUTHORIZERS[name]["status"] == "INACTIVE"
    for endpoint in self.iot_backend.domain_configurations.values():
        if (endpoint.authorizer_config or {}).get("defaultAuthorizerName") == name:
            body = {"message": "in use", "__type": "DeleteConflictException"}
            return 409, {"status": 409, "x-amzn-errortype": "DeleteConflictException"}, json.dumps(body)
    del AUTHORIZERS[name]
    return "{}"


create_deployment = RestAPI.create_deployment


def create_deployment_of(self, name, description, stage_variables=None):
    before = self.stages.get(name)
    made = create_deployment(self, name, description, stage_variables)
    if before is not None:
        self.stages[name].method_settings = before.method_settings
    return made


apply_patch_operations = UsagePlan.apply_patch_operations


def apply_patch_operations_of(self, operations):
    for one in operations:
        route = re.fullmatch(r"/apiStages/(\w+):(\w+)/throttle/(/.+?)(?:/(rateLimit|burstLimit))?", one["path"])
        limit = re.fullmatch(r"/(throttle|quota)/(\w+)", one["path"])
        if (one["op"], one["path"]) == ("remove", "/apiStages"):
            self.api_stages = [
                stage for stage in self.api_stages if f"{stage['apiId']}:{stage['stage']}" != one["value"]
            ]
        elif route:
            (stage,) = [stage for stage in self.api_stages if (stage["apiId"], stage["stage"]) == (route[1], route[2])]
            throttles = stage.setdefault("throttle", {})
            if one["op"] == "remove":
                del throttles[route[3]]
            else:
                throttles.setdefault(route[3], {})[route[4]] = number(one["value"], route[4])
        elif limit:
            getattr(self, limit[1])[limit[2]] = number(one["value"], limit[2])
        elif one["op"] == "remove":
            setattr(self, one["path"][1:], {})
        else:
            apply_patch_operations(self, [one])


def number(text, name):
    return text if name == "period" else float(text) if name == "rateLimit" else int(text)


create_domain_configuration = IoTResponse.create_domain_configuration
PROTOCOLS = {}
to_description_dict = FakeDomainConfiguration.to_description_dict


def create_domain_configuration_of(self):
    name = self._get_param("domainConfigurationName")
    PROTOCOLS[name] = {part: self._get_param(part) for part in ("authenticationType", "applicationProtocol")}
    return create_domain_configuration(self)


def to_description_dict_of(self):
    name = self.domain_configuration_name
    host = {"domainName": f"d0123456789-{name}.iot.eu-central-1.amazonaws.com"}
    return to_description_dict(self) | host | PROTOCOLS[name]


update_domain_configuration = IoTBackend.update_domain_configuration


def update_domain_configuration_of(self, domain_configuration_name, *arguments, **more):
    endpoint = update_domain_configuration(self, domain_configuration_name, *arguments, **more)
    endpoint.last_status_change_date = utcnow() + datetime.timedelta(seconds=STRICT.now_s)
    return endpoint


def get_account_settings(self):
    reserved = sum(int(function.reserved_concurrency or 0) for function in self.backend.list_functions())
    limit = ACCOUNT["concurrency"]
    answer = {"ConcurrentExecutions": limit, "UnreservedConcurrentExecutions": limit - reserved}
    return json.dumps({"AccountLimit": answer})


delete_event_source_mapping = LambdaBackend.delete_event_source_mapping


def delete_event_source_mapping_of(self, uuid):
    mapping = delete_event_source_mapping(self, uuid)
    STRICT.note("mapping", mapping.event_source_arn)
    return mapping


restore_table_to_point_in_time = DynamoHandler.restore_table_to_point_in_time


def restore_of(self):
    answer = restore_table_to_point_in_time(self)
    target, source = self.body["TargetTableName"], self.body["SourceTableName"]
    items = items_at(source, self.body["RestoreDateTime"].timestamp())
    if items is not None:
        self.dynamodb_backend.tables[target].items = items
    STRICT.note("table", target)
    return answer


describe_continuous_backups = DynamoDBBackend.describe_continuous_backups


def describe_continuous_backups_of(self, table_name):
    backups = describe_continuous_backups(self, table_name)
    if "LatestRestorableDateTime" in backups["PointInTimeRecoveryDescription"]:
        backups["PointInTimeRecoveryDescription"]["LatestRestorableDateTime"] = unix_time()
    return backups


update_configuration, get_configuration = LambdaFunction.update_configuration, LambdaFunction.get_configuration


def update_configuration_of(self, updates):
    self.logging = updates.get("LoggingConfig") or getattr(self, "logging", {"LogFormat": "Text"})
    return update_configuration(self, updates)


def get_configuration_of(self, on_create=False):
    return get_configuration(self, on_create) | {"LoggingConfig": getattr(self, "logging", {"LogFormat": "Text"})}


update_function_code = LambdaFunction.update_function_code


def update_function_code_of(self, updates):
    if "Architectures" in updates:
        self.architectures = updates["Architectures"]
    return update_function_code(self, updates)


reset_response = MotoAPIResponse.reset_response


def reset_response_of(self, request, full_url, headers):
    AUTHORIZERS.clear()
    PROTOCOLS.clear()
    ACCOUNT.update(json.loads(request.data))
    STRICT.reset(ACCOUNT.pop("faults", None))
    return reset_response(self, request, full_url, headers)


def fork_response(self, request, full_url, headers):
    """Copy the process. The copy serves the same account at another port, until its parent ends or kills it."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        ACCOUNT.update(json.loads(request.data))
        os.write(writing, move().encode())
        os.close(writing)
        parent = os.getppid()
        while os.getppid() == parent:  # only this thread lives on in the copy
            time.sleep(1)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        return 200, {}, json.dumps({"url": pipe.read(), "process": process})


dispatcher = moto_threaded.DomainDispatcherApplication


def complete_moto():
    moto_threaded.DomainDispatcherApplication = lambda create: layer(dispatcher(create))
    DynamoDBBackend.describe_continuous_backups = describe_continuous_backups_of
    DynamoHandler.restore_table_to_point_in_time = restore_of
    IoTBackend.update_domain_configuration = update_domain_configuration_of
    LambdaBackend.delete_event_source_mapping = delete_event_source_mapping_of
    MotoAPIResponse.reset_response = reset_response_of
    MotoAPIResponse.fork_response = fork_response
    urls = importlib.import_module("moto.moto_api._internal.urls")  # after its methods were replaced
    urls.url_paths["{0}/moto-api/fork"] = urls.response_instance.fork_response
    LambdaFunction.update_configuration = update_configuration_of
    LambdaFunction.get_configuration = get_configuration_of
    LambdaFunction.update_function_code = update_function_code_of
    LambdaResponse.get_account_settings = get_account_settings
    moto.awslambda.urls.url_paths[r"{0}/(?P<api_version>[^/]+)/account-settings/?$"] = LambdaResponse.dispatch
    RestAPI.create_deployment = create_deployment_of
    RestAPI.apply_patch_operations = patch_rest_api_of
    UsagePlan.apply_patch_operations = apply_patch_operations_of
    IoTResponse.create_domain_configuration = create_domain_configuration_of
    FakeDomainConfiguration.to_description_dict = to_description_dict_of
    APIGatewayBackend.put_rest_api = put_rest_api
    APIGatewayBackend.import_rest_api = import_rest_api
    for action in (create_authorizer, describe_authorizer, update_authorizer, delete_authorizer):
        setattr(IoTResponse, action.__name__, action)


def serve():
    """Serve in a thread; return the URL."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    ACCOUNT["url"] = f"http://{host}:{port}"
    return ACCOUNT["url"]


def move():
    """Serve at another port, also in the URLs of queues that topic rules hold; return the URL."""
    before = ACCOUNT["url"]
    after = serve()
    for regions in iot_backends.values():
        for backend in regions.values():
            for rule in backend.rules.values():
                rule.error_action = json.loads(json.dumps(rule.error_action).replace(before, after))
    return after


if __name__ == "__main__":
    complete_moto()
    print(serve(), flush=True)
    threading.Event().wait()
