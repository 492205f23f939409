#!/bin/sh
# Publishes one chat and one feedback with kcat (1.7 or later).
set -eu

servers=${FEEDBACK_KAFKA_BOOTSTRAP_SERVERS:-127.0.0.1:9092}
prefix=${FEEDBACK_TOPIC_PREFIX:-}
new_id() { cat /proc/sys/kernel/random/uuid; }
now() { date -u +%Y-%m-%dT%H:%M:%SZ; }

# kcat ends with 1 when a record was not acknowledged: send the same line again later, event_id and all.
publish() { # topic, key; the event on standard input, in one line
  kcat -P -b "$servers" -t "$prefix$1" -k "$2" \
    -X acks=all -X enable.idempotence=true -X delivery.timeout.ms=30000
}

request="kcat-$(new_id)"
publish chat-completed "$request" <<END
{"type": "ChatCompleted", "event_id": "$(new_id)", "client_request_id": "$request", "completed_at": "$(now)"}
END
publish feedback-submitted "$request" <<END
{"type": "FeedbackSubmitted", "event_id": "$(new_id)", "client_request_id": "$request", "source": {"type": "HUMAN", "id": "anna"}, "submitted_at": "$(now)", "assessments": [{"name": "helpful", "value": true, "rationale": "Says \"why\", too 👍"}]}
END
echo acknowledged
