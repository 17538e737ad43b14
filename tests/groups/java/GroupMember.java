// A member of a consumer group on Apache Kafka's own Java client: see tests/README.md for what a worker does.

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

public final class GroupMember implements ConsumerRebalanceListener {
    private static final Map<String, String> ASSIGNORS = Map.of(
        "range", "org.apache.kafka.clients.consumer.RangeAssignor",
        "sticky", "org.apache.kafka.clients.consumer.StickyAssignor",
        "cooperative-sticky", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");

    private final KafkaConsumer<String, String> consumer;
    private final Set<String> owned = new TreeSet<>();
    // The offset after the last record printed.
    private final Map<TopicPartition, OffsetAndMetadata> printed = new HashMap<>();

    private GroupMember(String bootstrap, String group, List<String> topics, Map<String, String> options) {
        Map<String, Object> config = new HashMap<>(Map.of(
            "bootstrap.servers", bootstrap, "group.id", group, "enable.auto.commit", false,
            "auto.offset.reset", "earliest", "fetch.max.wait.ms", 100, "default.api.timeout.ms", 20_000,
            "reconnect.backoff.ms", 20, "reconnect.backoff.max.ms", 200));
        if (options.getOrDefault("--protocol", "classic").equals("classic")) {
            int session = Integer.parseInt(options.getOrDefault("--session-ms", "6000"));
            config.put("session.timeout.ms", session);
            config.put("heartbeat.interval.ms", session / 12);
            config.put("partition.assignment.strategy", ASSIGNORS.get(options.getOrDefault("--assignor", "range")));
        } else {
            config.put("group.protocol", "consumer");
            if (options.containsKey("--assignor")) config.put("group.remote.assignor", options.get("--assignor"));
        }
        if (options.containsKey("--instance")) config.put("group.instance.id", options.get("--instance"));
        consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer());
        consumer.subscribe(topics, this);
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> assigned) {
        assigned.forEach(each -> owned.add(name(each)));
        say("assigned " + consumer.groupMetadata().generationId() + " " + (owned.isEmpty() ? "-" : String.join(",", owned)));
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> revoked) {
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>(printed);
        offsets.keySet().retainAll(revoked);
        commit(offsets);
        drop("revoked", revoked);
    }

    @Override
    public void onPartitionsLost(Collection<TopicPartition> lost) {
        drop("lost", lost);
    }

    private void drop(String event, Collection<TopicPartition> gone) {
        printed.keySet().removeAll(gone);
        gone.forEach(each -> owned.remove(name(each)));
        say(event + " " + (gone.isEmpty() ? "-" : gone.stream().map(GroupMember::name).collect(Collectors.joining(","))));
    }

    private void commit(Map<TopicPartition, OffsetAndMetadata> offsets) {
        Map<String, Long> named = new TreeMap<>();
        offsets.forEach((partition, offset) -> named.put(name(partition), offset.offset()));
        try {
            if (!offsets.isEmpty()) consumer.commitSync(offsets);
            say("committed " + (named.isEmpty() ? "-" : named.entrySet().stream()
                .map(each -> each.getKey() + "@" + each.getValue()).collect(Collectors.joining(","))));
        } catch (KafkaException refusal) {
            say("refused " + refusal.getClass().getSimpleName());
        }
    }

    private void run(LinkedBlockingQueue<String> commands) {
        while (true) {
            for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(50))) {
                TopicPartition partition = new TopicPartition(record.topic(), record.partition());
                printed.put(partition, new OffsetAndMetadata(record.offset() + 1));
                say("record " + record.topic() + " " + record.partition() + " " + record.offset() + " " + record.value());
            }
            String command = commands.poll();
            if ("commit".equals(command) || "leave".equals(command)) commit(printed);
            if ("leave".equals(command)) {
                consumer.close();
                say("left");
                return;
            }
        }
    }

    private static String name(TopicPartition partition) {
        return partition.topic() + "/" + partition.partition();
    }

    private static synchronized void say(String event) {
        System.out.println(ChronoUnit.MICROS.between(Instant.EPOCH, Instant.now()) + " " + event);
        System.out.flush();
    }

    // The end of standard input is the end of the worker: whoever started it is gone.
    private static void read(LinkedBlockingQueue<String> commands) {
        try (BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) commands.add(line.strip());
        } catch (IOException gone) {
            System.err.println(gone);
        }
        Runtime.getRuntime().halt(1);
    }

    public static void main(String[] args) {
        Map<String, String> options = new HashMap<>();
        for (int i = 4; i < args.length; i += 2) options.put(args[i], args[i + 1]);
        LinkedBlockingQueue<String> commands = new LinkedBlockingQueue<>();
        Thread reader = new Thread(() -> read(commands));
        reader.setDaemon(true);
        reader.start();
        new GroupMember(args[1], args[2], List.of(args[3].split(",")), options).run(commands);
    }
}
