// Apache Kafka's own Java client as a test client: see tests/README.md for the command line all clients share.

import java.io.BufferedReader;
import java.io.BufferedOutputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public final class FlightClient {
    public static void main(String[] args) throws Exception {
        if (args[0].equals("produce")) {
            produce(args[1], args[2], args[3], Path.of(args[4]));
        } else {
            consume(args[1], args[2], Long.parseLong(args[3]));
        }
    }

    // The defaults of a 4.x producer: idempotent, acks=all, five requests in flight.
    private static void produce(String bootstrap, String topic, String codec, Path file) throws Exception {
        Map<String, Object> config = Map.of(
            "bootstrap.servers", bootstrap, "compression.type", codec, "linger.ms", 20, "batch.size", 256 * 1024);
        AtomicReference<Exception> failure = new AtomicReference<>();
        // Latin-1 keeps every byte as it is.
        try (BufferedReader lines = Files.newBufferedReader(file, StandardCharsets.ISO_8859_1);
             KafkaProducer<byte[], byte[]> producer =
                 new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                int comma = line.indexOf(',');
                byte[] key = line.substring(0, comma).getBytes(StandardCharsets.ISO_8859_1);
                byte[] value = line.substring(comma + 1).getBytes(StandardCharsets.ISO_8859_1);
                producer.send(new ProducerRecord<>(topic, key, value), (metadata, error) -> {
                    if (error != null) failure.compareAndSet(null, error);
                });
            }
        }
        if (failure.get() != null) throw failure.get();
    }

    private static void consume(String bootstrap, String topic, long count) throws Exception {
        Map<String, Object> config = Map.of("bootstrap.servers", bootstrap, "max.poll.records", 10_000);
        try (OutputStream out = new BufferedOutputStream(System.out, 1 << 16);
             KafkaConsumer<byte[], byte[]> consumer =
                 new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> partitions = consumer.partitionsFor(topic).stream()
                .map(info -> new TopicPartition(topic, info.partition())).toList();
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            for (long seen = 0; seen < count; ) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
                    seen++;
                    out.write((record.partition() + "\t" + record.offset() + "\t").getBytes(StandardCharsets.US_ASCII));
                    out.write(record.key());
                    out.write('\t');
                    out.write(record.value());
                    out.write('\n');
                }
            }
        }
    }
}
