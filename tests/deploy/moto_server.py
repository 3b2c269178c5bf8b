"""``python -m tests.deploy.moto_server``: a moto server for the real command line. It prints its URL.

A POST to /moto-api/reset empties the account. The body names the folder DOCUMENTS and the account's concurrency.

Chalice sends Swagger 2, but moto reads only OpenAPI 3 with a description and complete mocks. So this server completes
each document before moto reads it, and writes it to the folder DOCUMENTS as Chalice sent it. It also adds what moto
lacks: IoT authorizers, the protocol of an IoT endpoint, and the log format of a function. It keeps a stage's settings
when the stage is deployed again, and can remove a stage with throttles from a usage plan.
"""

import json
import threading
from pathlib import Path

import moto.awslambda.urls
from moto.apigateway.models import APIGatewayBackend, RestAPI, UsagePlan
from moto.awslambda.models import LambdaFunction
from moto.awslambda.responses import LambdaResponse
from moto.iot.models import FakeDomainConfiguration
from moto.iot.responses import IoTResponse
from moto.moto_api._internal.responses import MotoAPIResponse
from moto.server import ThreadedMotoServer

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
    assert AUTHORIZERS.pop(name_of(self))["status"] == "INACTIVE"
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
        if (one["op"], one["path"]) == ("remove", "/apiStages"):
            self.api_stages = [
                stage for stage in self.api_stages if f"{stage['apiId']}:{stage['stage']}" != one["value"]
            ]
    apply_patch_operations(self, [one for one in operations if (one["op"], one["path"]) != ("remove", "/apiStages")])


create_domain_configuration = IoTResponse.create_domain_configuration
PROTOCOLS = {}
to_description_dict = FakeDomainConfiguration.to_description_dict


def create_domain_configuration_of(self):
    name = self._get_param("domainConfigurationName")
    PROTOCOLS[name] = {part: self._get_param(part) for part in ("authenticationType", "applicationProtocol")}
    return create_domain_configuration(self)


def to_description_dict_of(self):
    return to_description_dict(self) | PROTOCOLS[self.domain_configuration_name]


def get_account_settings(self):
    return json.dumps({"AccountLimit": {"ConcurrentExecutions": ACCOUNT["concurrency"]}})


update_configuration, get_configuration = LambdaFunction.update_configuration, LambdaFunction.get_configuration


def update_configuration_of(self, updates):
    self.logging = updates.get("LoggingConfig") or getattr(self, "logging", {"LogFormat": "Text"})
    return update_configuration(self, updates)


def get_configuration_of(self, on_create=False):
    return get_configuration(self, on_create) | {"LoggingConfig": getattr(self, "logging", {"LogFormat": "Text"})}


reset_response = MotoAPIResponse.reset_response


def reset_response_of(self, request, full_url, headers):
    AUTHORIZERS.clear()
    PROTOCOLS.clear()
    ACCOUNT.update(json.loads(request.data))
    return reset_response(self, request, full_url, headers)


def complete_moto():
    MotoAPIResponse.reset_response = reset_response_of
    LambdaFunction.update_configuration = update_configuration_of
    LambdaFunction.get_configuration = get_configuration_of
    LambdaResponse.get_account_settings = get_account_settings
    moto.awslambda.urls.url_paths[r"{0}/(?P<api_version>[^/]+)/account-settings/?$"] = LambdaResponse.dispatch
    RestAPI.create_deployment = create_deployment_of
    UsagePlan.apply_patch_operations = apply_patch_operations_of
    IoTResponse.create_domain_configuration = create_domain_configuration_of
    FakeDomainConfiguration.to_description_dict = to_description_dict_of
    APIGatewayBackend.put_rest_api = put_rest_api
    APIGatewayBackend.import_rest_api = import_rest_api
    for action in (create_authorizer, describe_authorizer, update_authorizer, delete_authorizer):
        setattr(IoTResponse, action.__name__, action)


if __name__ == "__main__":
    complete_moto()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    print(f"http://{host}:{port}", flush=True)
    threading.Event().wait()
