import "swagger-ui-dist/swagger-ui.css";
// @ts-expect-error The package ships no types.
import SwaggerUI from "swagger-ui-dist/swagger-ui-es-bundle.js";

// Its style is dark if the page has this class.
const dark = matchMedia("(prefers-color-scheme: dark)");
const show = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", show);
show();

// No validator: it is on another host. Tokens live in memory only.
SwaggerUI({
  url: new URL("openapi.json", document.baseURI).href,
  dom_id: "#docs",
  validatorUrl: null,
  deepLinking: true,
  filter: true,
  showExtensions: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
});
