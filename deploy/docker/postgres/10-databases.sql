-- Run once by the image, as superuser, when the data folder is new: a database and an owner for each user of it.
\getenv feedback_password POSTGRES_FEEDBACK_PASSWORD
\getenv mlflow_password POSTGRES_MLFLOW_PASSWORD
CREATE ROLE feedback LOGIN PASSWORD :'feedback_password';
CREATE DATABASE feedback OWNER feedback;
REVOKE ALL ON DATABASE feedback FROM PUBLIC;
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow_password';
CREATE DATABASE mlflow OWNER mlflow;
REVOKE ALL ON DATABASE mlflow FROM PUBLIC;
