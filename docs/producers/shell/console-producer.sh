#!/bin/sh
# Publishes one chat and one feedback with Kafka's own console producer (4.2 or later).
set -eu

servers=${FEEDBACK_KAFKA_BOOTSTRAP_SERVERS:-127.0.0.1:9092}
prefix=${FEEDBACK_TOPIC_PREFIX:-}
tool=${KAFKA_CONSOLE_PRODUCER:-kafka-console-producer.sh}
new_id() { cat /proc/sys/kernel/random/uuid; }
now() { date -u +%Y-%m-%dT%H:%M:%SZ; }

# Of some failures the tool only logs an ERROR and ends with 0: what it says is read as well.
publish() { # topic, key; the event on standard input, in one line
  said=$(sed "s/^/$2	/" | $tool --bootstrap-server "$servers" --topic "$prefix$1" --sync \
    --reader-property parse.key=true --reader-property "key.separator=	" \
    --command-property acks=all --command-property enable.idempotence=true \
    --command-property delivery.timeout.ms=30000 --command-property request.timeout.ms=10000 \
    --command-property max.block.ms=30000 2>&1) || said="ERROR $said"
  case $said in *ERROR* | *Exception*)
    echo "not acknowledged, send the same line again later: $said" >&2
    exit 1 ;;
  esac
}

request="console-$(new_id)"
publish chat-completed "$request" <<END
{"type": "ChatCompleted", "event_id": "$(new_id)", "client_request_id": "$request", "completed_at": "$(now)"}
END
publish feedback-submitted "$request" <<END
{"type": "FeedbackSubmitted", "event_id": "$(new_id)", "client_request_id": "$request", "source": {"type": "HUMAN", "id": "anna"}, "submitted_at": "$(now)", "assessments": [{"name": "helpful", "value": true, "rationale": "Says \"why\", too 👍"}]}
END
echo acknowledged
