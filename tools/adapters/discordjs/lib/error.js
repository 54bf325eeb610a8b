// What went wrong with a request to a node, in one sentence for whoever runs the bot. It holds neither key nor token.

// Node's TLS: who signed the certificate is not among those that are trusted.
const UNTRUSTED = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

export class EarshotError extends Error {
  name = 'EarshotError';
  status; // of the answer; undefined if there was none
  code; // of the problem, such as 'not-found', or of the failure, such as 'ECONNREFUSED'
  detail;
  retryAfterMs; // how long the node asks to wait
  isTransient = false; // the same request may succeed later

  constructor(message, { cause, ...fields } = {}) {
    super(message, cause && { cause });
    Object.assign(this, fields);
  }

  // The node refused. `text` should be a problem, as RFC 9457 has it.
  static refused(what, { statusCode: status, statusMessage, headers }, text) {
    const problem = parse(text);
    const code = /^urn:earshot:problem:(.+)/.exec(problem.type)?.[1];
    const detail = problem.detail ?? problem.title ?? statusMessage;
    const seconds = Number(headers['retry-after']);
    return new EarshotError(`${what}: ${[status, code].filter(Boolean).join(' ')}: ${detail}`, {
      status,
      code,
      detail,
      retryAfterMs: seconds > 0 ? 1_000 * seconds : undefined,
      isTransient: status === 429 || status >= 500,
    });
  }

  // There was no answer, or not all of it.
  static unreachable(what, api, cause) {
    const isUntrusted = UNTRUSTED.has(cause.code);
    const why = isUntrusted
      ? `its certificate is not trusted: set NODE_EXTRA_CA_CERTS before Node starts, or give the option ca`
      : cause.message || cause.code;
    return new EarshotError(`${what}: cannot reach the node at ${api}: ${why}`, {
      code: cause.code,
      cause,
      isTransient: !isUntrusted && !/^ERR_TLS/.test(cause.code),
    });
  }
}

function parse(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}
