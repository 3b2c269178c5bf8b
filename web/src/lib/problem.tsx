/** Shows an error: the API's message, what is wrong with each field, and the id of the request. */
import { ApiError } from "./api";

export function Problem({ error, retry }: { error: Error | undefined; retry?: () => void }) {
  if (!error) return null;
  const { requestId = "", fieldErrors = {} } = error instanceof ApiError ? error : {};
  const fields = Object.entries(fieldErrors).filter(([, texts]) => !texts.every((text) => error.message.includes(text)));
  return (
    <div class="problem" role="alert">
      <p>{error.message}</p>
      {fields.length > 0 && (
        <ul>
          {fields.map(([name, texts]) => (
            <li key={name}>
              {name}: {texts.join("; ")}
            </li>
          ))}
        </ul>
      )}
      {requestId && <p class="quiet">Request {requestId}</p>}
      {retry && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}
