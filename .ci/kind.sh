# Sourced by .ci/run: the suite that needs a kind cluster, where one can be had. `kind_code` is 0, unless it failed or, where an
# engine or a lab is there, the cluster did not come up.
lab=${LOCKWARDEN_KIND_LAB-../shared/kind/kind-lab}
rm -f reports/kind.json
if docker info >/dev/null 2>&1 || { [ -n "$lab" ] && [ -x "$lab" ]; }; then
  # A cluster of its own: what a developer has up stays as it is.
  export LOCKWARDEN_KIND_CLUSTER=lockwarden-ci
  npm run kind:up && npm run test:kind
  kind_code=$?
  npm run kind:down || echo 'kind:down failed; see above'
else
  echo 'no Docker engine answers and no lab is there: the kind suite is skipped'
  # Every test skipped, so that they are counted.
  npx vitest run --config vitest.kind.config.ts --testNamePattern '^$'
  kind_code=$?
fi
