-- A login for each program, a member of its role and of nothing else (docs/operators.md, Roles). Run by
-- the service `logins` of docker-compose.yml after each migration; safe to run again, as when a
-- password changes.
\set ON_ERROR_STOP on
\getenv alerts ALERTS_PASSWORD
\getenv clock CLOCK_PASSWORD
\getenv commands COMMANDS_PASSWORD
\getenv prices PRICES_PASSWORD
\getenv projections PROJECTIONS_PASSWORD
\getenv publisher PUBLISHER_PASSWORD
\getenv queries QUERIES_PASSWORD
\getenv risk RISK_PASSWORD
\getenv seals SEALS_PASSWORD
\getenv web WEB_PASSWORD
\getenv grafana GRAFANA_DATABASE_PASSWORD
\getenv grafana_user GRAFANA_USER_ID

SET client_min_messages = warning;
BEGIN;
SELECT format('CREATE ROLE %I LOGIN', login)
FROM unnest(ARRAY['ledger_alerts', 'ledger_clock', 'ledger_commands', 'ledger_prices', 'ledger_projections',
    'ledger_publisher', 'ledger_queries', 'ledger_risk', 'ledger_seals', 'ledger_web', 'ledger_grafana']) AS login
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login) \gexec

ALTER ROLE ledger_alerts PASSWORD :'alerts';
GRANT ledger_projector TO ledger_alerts;
ALTER ROLE ledger_clock PASSWORD :'clock';
GRANT ledger_scheduler TO ledger_clock;
ALTER ROLE ledger_commands PASSWORD :'commands';
GRANT ledger_writer TO ledger_commands;
ALTER ROLE ledger_prices PASSWORD :'prices';
GRANT ledger_auditor TO ledger_prices;
ALTER ROLE ledger_projections PASSWORD :'projections';
GRANT ledger_projector TO ledger_projections;
ALTER ROLE ledger_publisher PASSWORD :'publisher';
GRANT ledger_projector TO ledger_publisher;
ALTER ROLE ledger_queries PASSWORD :'queries';
GRANT ledger_auditor TO ledger_queries;
ALTER ROLE ledger_risk PASSWORD :'risk';
GRANT ledger_projector TO ledger_risk;
ALTER ROLE ledger_seals PASSWORD :'seals';
GRANT ledger_sealer TO ledger_seals;
ALTER ROLE ledger_web PASSWORD :'web';
GRANT ledger_http TO ledger_web;

-- Grafana reads the read models and nothing else: of nobody, or of the user that is named. Whoever
-- signs in at Grafana can name another, so it is for those who may see all of them.
ALTER ROLE ledger_grafana PASSWORD :'grafana';
ALTER ROLE ledger_grafana CONNECTION LIMIT 5;
ALTER ROLE ledger_grafana SET default_transaction_read_only = on;
ALTER ROLE ledger_grafana SET statement_timeout = '10s';
ALTER ROLE ledger_grafana SET app.current_user_id = :'grafana_user';
GRANT ledger_user TO ledger_grafana;
COMMIT;
