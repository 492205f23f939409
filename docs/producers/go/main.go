// Publishes one chat and one feedback.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
)

type event = map[string]any

func record(topic, key string, e event) *kgo.Record {
	value, err := json.Marshal(e)
	if err != nil {
		log.Fatal(err)
	}
	return &kgo.Record{Topic: os.Getenv("FEEDBACK_TOPIC_PREFIX") + topic, Key: []byte(key), Value: value}
}

func main() {
	servers := cmp.Or(os.Getenv("FEEDBACK_KAFKA_BOOTSTRAP_SERVERS"), "127.0.0.1:9092")
	client, err := kgo.NewClient( // idempotent unless one switches it off
		kgo.SeedBrokers(strings.Split(servers, ",")...),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordDeliveryTimeout(30*time.Second),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	request := "go-" + uuid.NewString()
	chat := event{
		"type": "ChatCompleted", "event_id": uuid.NewString(), "client_request_id": request,
		"completed_at": time.Now().UTC().Format(time.RFC3339Nano),
	}
	feedback := event{
		"type": "FeedbackSubmitted", "event_id": uuid.NewString(), "client_request_id": request,
		"source":       event{"type": "HUMAN", "id": "anna"},
		"submitted_at": time.Now().UTC().Format(time.RFC3339Nano),
		"assessments":  []event{{"name": "helpful", "value": true, "rationale": "Says \"why\", too 👍"}},
	}
	results := client.ProduceSync(context.Background(),
		record("chat-completed", request, chat), record("feedback-submitted", request, feedback))
	if err := results.FirstErr(); err != nil {
		// Keep the event and send the same one again later, event_id and all.
		log.Fatalf("not acknowledged: %v", err)
	}
	fmt.Println("acknowledged")
}
