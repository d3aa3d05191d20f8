/** A request that an API server refuses by itself, before or after it asks anybody. */
export class ApiRejection extends Error {
  override readonly name = 'ApiRejection';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** A rejection to throw. */
export function rejected(status: number, message: string): ApiRejection {
  return new ApiRejection(status, message);
}
