// The API as the page uses it: the same that scripts use, with the session's cookie instead of a key.

let session = null;

/** What the API refused (RFC 9457): `message`, `status`, and `problem` with its `errors`. */
export class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `The server answered ${status}.`);
    this.status = status;
    this.problem = problem;
  }
}

/** Who has logged in: {name, role, csrf}. */
export async function whoami() {
  session ??= await call("GET", "/api/v1/session");
  return session;
}

/** Whether the one who has logged in may do what `role` may. */
export function may(role) {
  const roles = ["viewer", "operator", "editor", "admin"];
  return session !== null && roles.indexOf(session.role) >= roles.indexOf(role);
}

export const get = (path, query = {}, signal = undefined) => call("GET", path + asQuery(query), undefined, {}, signal);
export const post = (path, body = {}) => call("POST", path, body);
export const postFile = (path, query, text, headers) => call("POST", path + asQuery(query), text, headers);
export const put = (path, body, headers = {}) => call("PUT", path, body, headers);
export const remove = (path, headers = {}) => call("DELETE", path, undefined, headers);

/** `?a=1&b=2` of what is not empty. */
export function asQuery(query) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

/** A POST whose answer comes line by line (JSON): `each` gets the lines. `signal` ends it, here and on the server. */
export async function stream(path, body, signal, each) {
  const headers = { "Content-Type": "application/json", "X-CSRF-Token": (await whoami()).csrf };
  const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body), signal, credentials: "same-origin" });
  if (response.status === 401) location.reload();
  if (!response.ok) throw new Refusal(response.status, await response.json().catch(() => ({})));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    lines.forEach((line) => each(JSON.parse(line)));
  }
}

async function call(method, path, body, headers = {}, signal = undefined) {
  const options = { method, headers: { Accept: "application/json", ...headers }, signal, credentials: "same-origin" };
  if (method !== "GET") options.headers["X-CSRF-Token"] = (await whoami()).csrf;
  if (body !== undefined) {
    options.headers["Content-Type"] ??= "application/json";
    options.body = typeof body === "string" ? body : JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, { detail: "The server does not answer." });
  }
  if (response.status === 401) location.reload(); // logged out: the log-in form is at this address
  if (response.status === 204) return null;
  const content = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refusal(response.status, content);
  return content;
}
