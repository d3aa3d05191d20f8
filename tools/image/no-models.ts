/**
 * In place of client-node's generated API clients, for which its port-forward asks only to look up the pod of a Service or a Deployment:
 * lockwarden forwards to pods. With them come 5 MB of models, in every command that reads a kubeconfig.
 */
function absent(): never {
  throw new Error('the generated API clients are not part of this program');
}

export { absent as AppsV1Api, absent as CoreV1Api };
