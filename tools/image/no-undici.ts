/**
 * In place of undici, which client-node loads for requests of its own: lockwarden sends its requests itself (src/kube/client.ts) and takes
 * credentials, and agents for node:https, from client-node. Loading undici alone takes 20 MiB.
 */
function absent(): never {
  throw new Error('undici is not part of this program');
}

export { absent as fetch, absent as Agent, absent as ProxyAgent };
