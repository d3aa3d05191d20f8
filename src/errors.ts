/**
 * What can go wrong outside a decision, in words for people. A decision never throws; a refusal is not an error.
 */

/** Exit codes of the command: done, failed, or called wrongly. */
export type ExitCode = 0 | 1 | 2;

/** Every kind of failure, with the exit code it ends the command with. */
const exitCodes = {
  /** A flag, variable or argument that cannot be used as given. */
  UsageInvalid: 2,
  /** No kubeconfig, or none that can be read. */
  KubeconfigMissing: 2,
  /** A kubeconfig whose user authenticates in a way that is not supported. */
  KubeconfigUnsupported: 2,
  /** The API server does not answer. */
  ClusterUnreachable: 1,
  /** The API server refuses what lockwarden needs: RBAC is too narrow. */
  PermissionMissing: 1,
  /** The address or port to listen on is taken or not ours to take. */
  ListenFailed: 1,
  /** A certificate or key that cannot be served. */
  CertificateInvalid: 1,
  /** A rotation of certificates that cannot be asked for, or did not come about in time. */
  RotationFailed: 1,
  /** A program that is needed is not installed, or too old. */
  ToolMissing: 1,
  /** A program that was built or started failed. */
  ToolFailed: 1,
  /** Files could not be read or written. */
  StorageFailed: 1,
  /** A scenario did not go as told. */
  ScenarioFailed: 1,
} as const satisfies Record<string, ExitCode>;

/** CamelCase code of a failure, stable across versions. */
export type ErrorCode = keyof typeof exitCodes;

/**
 * A failure that is told to a person in one sentence: lower case, no full stop, user input in backticks, ending in what
 * to do. Anything else that is thrown is a defect and keeps its stack trace.
 */
export class LockwardenError extends Error {
  override readonly name = 'LockwardenError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** The exit code for whatever was thrown; 1 for a defect. */
export function exitCodeOf(error: unknown): ExitCode {
  return error instanceof LockwardenError ? exitCodes[error.code] : 1;
}

/** The text of anything that was thrown, for a log line or the inside of a sentence. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The `code` of a Node system error (`EADDRINUSE`, `ENOENT`...), or null when it has none. */
export function systemCodeOf(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null;
}
