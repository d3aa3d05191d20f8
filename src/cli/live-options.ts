/** How `--live` reaches replicas, and as whom. */
export interface LiveOptions {
  /** Reads from replicas, by the read API, instead of logs. */
  readonly live?: boolean;
  /** `https://HOST:PORT` of the read API; left out: each replica's pod, by port-forward. */
  readonly server?: string;
  /** The name that the certificate has to have. */
  readonly serverName?: string;
  /** A file with the authorities to trust; left out: those that the webhook configuration names. */
  readonly caFile?: string;
  /** A ServiceAccount, `NAME` or `NAMESPACE/NAME`, for which a token is asked for. */
  readonly serviceAccount?: string;
  /** A file with a token for the audience `lockwarden-review`. */
  readonly tokenFile?: string;
  /** The pods' port, where they do not name it. */
  readonly readPort?: string;
}
