-- Tenants of the applications that run beside the swarm. Every row says whose it is, and a connection sees the rows of one
-- tenant: the one that it names with  SELECT set_config('app.tenant', '<id>', true)  at the start of its transaction.
-- A table of tenants' data follows tenant_documents: the column, its default, both ROW LEVEL SECURITY lines, the policy.
CREATE TABLE tenants (
    tenant_id  text PRIMARY KEY CHECK (tenant_id ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    name       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Empty where no tenant was named, and then no row is anybody's: a forgotten set_config shows nothing instead of all.
CREATE FUNCTION current_tenant() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT nullif(current_setting('app.tenant', true), '') $$;

ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON tenants USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());

CREATE TABLE tenant_documents (
    tenant_id   text NOT NULL DEFAULT current_tenant() REFERENCES tenants,
    document_id text NOT NULL,
    s3_key      text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, document_id),
    CHECK (starts_with(s3_key, 'tenants/' || tenant_id || '/'))
);

ALTER TABLE tenant_documents ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_documents FORCE ROW LEVEL SECURITY;
CREATE POLICY own_documents ON tenant_documents
    USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
