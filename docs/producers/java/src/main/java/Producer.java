import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Publishes one chat and one feedback. */
public class Producer {
    static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] arguments) throws Exception {
        Map<String, Object> settings = Map.of(
            "bootstrap.servers", setting("FEEDBACK_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092"),
            "acks", "all",
            "enable.idempotence", true,
            "delivery.timeout.ms", 30_000,
            "request.timeout.ms", 10_000,
            "max.block.ms", 30_000);
        String request = "java-" + UUID.randomUUID();
        Map<String, Object> chat = Map.of(
            "type", "ChatCompleted",
            "event_id", UUID.randomUUID().toString(),
            "client_request_id", request,
            "completed_at", Instant.now().toString());
        Map<String, Object> feedback = Map.of(
            "type", "FeedbackSubmitted",
            "event_id", UUID.randomUUID().toString(),
            "client_request_id", request,
            "source", Map.of("type", "HUMAN", "id", "anna"),
            "submitted_at", Instant.now().toString(),
            "assessments", List.of(Map.of("name", "helpful", "value", true, "rationale", "Says \"why\", too 👍")));
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new ByteArraySerializer())) {
            publish(producer, "chat-completed", request, chat);
            publish(producer, "feedback-submitted", request, feedback);
            System.out.println("acknowledged");
        } catch (ExecutionException failure) {
            // Keep the event and send the same one again later, event_id and all.
            System.err.println("not acknowledged: " + failure.getCause());
            System.exit(1);
        }
    }

    static void publish(KafkaProducer<String, byte[]> producer, String topic, String key, Object event)
            throws Exception {
        String name = setting("FEEDBACK_TOPIC_PREFIX", "") + topic;
        // get() waits for the acknowledgement; where there are many events, take a callback instead.
        producer.send(new ProducerRecord<>(name, key, JSON.writeValueAsBytes(event))).get();
    }

    static String setting(String name, String otherwise) {
        return System.getenv().getOrDefault(name, otherwise);
    }
}
