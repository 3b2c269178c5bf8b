import "swagger-ui-dist/swagger-ui.css";
// @ts-expect-error The package ships no types.
import SwaggerUI from "swagger-ui-dist/swagger-ui-es-bundle.js";

SwaggerUI({ url: new URL("openapi.json", document.baseURI).href, dom_id: "#docs", validatorUrl: null, deepLinking: true });
