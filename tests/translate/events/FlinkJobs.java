import java.util.Arrays;
import java.util.function.Function;
import java.util.regex.Pattern;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.SimpleStringEncoder;
import org.apache.flink.api.common.serialization.SimpleStringSchema;
import org.apache.flink.api.common.typeinfo.BasicTypeInfo;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.file.sink.FileSink;
import org.apache.flink.connector.file.src.FileSource;
import org.apache.flink.connector.file.src.reader.TextLineInputFormat;
import org.apache.flink.connector.jdbc.core.datastream.source.JdbcSource;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.KafkaSourceBuilder;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.core.fs.Path;
import org.apache.flink.formats.json.JsonDeserializationSchema;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.minicluster.MiniClusterConfiguration;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;

/** What the recorded Flink does (record_flink.py starts it): one job after another, sent to a session cluster. */
public class FlinkJobs {
    static final String ORDER = "id INT, mail STRING, total INT";
    static final String BOUNDED = ",'scan.bounded.mode'='latest-offset'";
    static String work, kafka, jdbc, user;
    static int cluster, alone;

    public static void main(String[] arguments) throws Exception {
        work = arguments[0];
        kafka = arguments[1];
        jdbc = arguments[2];
        user = arguments[3];
        cluster = Integer.parseInt(arguments[4]);
        alone = Integer.parseInt(arguments[5]);
        MiniClusterConfiguration settings = new MiniClusterConfiguration.Builder()
            .setConfiguration(settings("cluster", "streaming", cluster)).setNumSlotsPerTaskManager(4).build();
        try (MiniCluster mini = new MiniCluster(settings)) {
            mini.start();
            tables();
            streams();
        } catch (Throwable problem) {
            problem.printStackTrace();
            System.exit(1);
        }
        System.exit(0);
    }

    /** Jobs in SQL. */
    static void tables() throws Exception {
        String orders = "CREATE TABLE orders " + csv(ORDER, "in/orders.csv");
        String clicks = "CREATE TABLE clicks " + topic(ORDER, "io.clicks", "");
        String bounded = "CREATE TABLE clicks " + topic(ORDER, "io.clicks", BOUNDED);
        String pages = "CREATE TABLE pages " + topic("mail STRING, total INT", "io.pages", "");
        String stored = "CREATE TABLE stored " + table(ORDER, "public.orders");
        sql("totals", "batch", orders, "CREATE TABLE people " + csv("mail STRING, city STRING", "in/people.csv"),
            "CREATE TABLE totals " + csv("city STRING, total INT", "lake/totals"),
            "INSERT INTO totals SELECT p.city, sum(o.total) FROM orders o JOIN people p ON o.mail = p.mail "
                + "GROUP BY p.city");
        sql("load", "streaming", orders, clicks, "INSERT INTO clicks SELECT * FROM orders");
        sql("store", "streaming", bounded, stored, "INSERT INTO stored SELECT * FROM clicks");
        sql("unload", "batch", "CREATE TABLE stored " + table(ORDER, "orders"),
            "CREATE TABLE rich " + csv(ORDER, "lake/rich"), "INSERT INTO rich SELECT * FROM stored WHERE total > 10");
        sql("both", "streaming", bounded, stored, pages,
            "EXECUTE STATEMENT SET BEGIN INSERT INTO pages SELECT mail, total FROM clicks; "
                + "INSERT INTO stored SELECT id + 10, mail, total FROM clicks; END");
        sql("look up", "streaming",
            "CREATE TABLE clicks " + topic(ORDER + ", seen AS PROCTIME()", "io.clicks", BOUNDED), stored,
            "CREATE TABLE found (id INT, mail STRING, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector'='upsert-kafka',"
                + "'topic'='io.found','properties.bootstrap.servers'='" + kafka + "','key.format'='json',"
                + "'value.format'='json')",
            "INSERT INTO found SELECT c.id, s.mail FROM clicks c "
                + "JOIN stored FOR SYSTEM_TIME AS OF c.seen AS s ON c.id = s.id");
        sql("made up", "batch", "CREATE TABLE made (id INT) WITH ('connector'='datagen','number-of-rows'='3')",
            "CREATE TABLE nowhere (id INT) WITH ('connector'='blackhole')", "INSERT INTO nowhere SELECT id FROM made");
        String catalogue = "CREATE CATALOG pg WITH ('type'='jdbc','default-database'='shop','username'='" + user
            + "','password'='x','base-url'='" + jdbc.substring(0, jdbc.lastIndexOf('/')) + "')";
        String copy = "INSERT INTO pg.shop.`public.copies` SELECT * FROM pg.shop.`public.orders`";
        sql("catalogue", "batch", catalogue, copy);
        sql("broken", "batch", orders, "CREATE TABLE broken " + csv("x INT", "lake/broken"),
            "INSERT INTO broken SELECT CAST(mail AS INT) FROM orders");
        sql("batch alone", "batch", alone, catalogue, copy);
        TableEnvironment flow = sqlEnvironment("cancelled", "streaming", cluster, clicks, pages);
        JobClient job = flow.executeSql("INSERT INTO pages SELECT mail, total FROM clicks").getJobClient().get();
        Thread.sleep(7000);
        job.cancel().get();
        Thread.sleep(2000);
    }

    /** Jobs of the DataStream API. */
    static void streams() throws Exception {
        stream("lines", cluster, flow -> flow.fromSource(
            FileSource.forRecordStreamFormat(new TextLineInputFormat(), path("in/people.csv")).build(),
            WatermarkStrategy.noWatermarks(), "people"), null);
        stream("copy", cluster, flow -> flow.fromSource(
            read("copy").setTopics("io.clicks").setBounded(OffsetsInitializer.latest())
                .setValueOnlyDeserializer(new SimpleStringSchema()).build(),
            WatermarkStrategy.noWatermarks(), "clicks"), "io.copies");
        stream("merge", cluster, flow -> flow.fromSource(
            KafkaSource.<Order>builder().setBootstrapServers(kafka).setGroupId("merge")
                .setTopicPattern(Pattern.compile("io[.]c.*")).setBounded(OffsetsInitializer.latest())
                .setValueOnlyDeserializer(new JsonDeserializationSchema<>(Order.class)).build(),
            WatermarkStrategy.noWatermarks(), "all").map(order -> order.mail), "io.merged");
        stream("mails", cluster, flow -> flow.fromSource(
            JdbcSource.<String>builder().setDBUrl(jdbc).setUsername(user).setPassword("x")
                .setDriverName("org.postgresql.Driver").setSql("SELECT mail FROM public.orders")
                .setTypeInformation(BasicTypeInfo.STRING_TYPE_INFO).setResultExtractor(row -> row.getString(1)).build(),
            WatermarkStrategy.noWatermarks(), "orders"), "io.mails");
        stream("thrown", cluster, flow -> flow.fromSource(
            read("thrown").setTopics("io.clicks", "io.copies")
                .setValueOnlyDeserializer(new SimpleStringSchema()).build(),
            WatermarkStrategy.noWatermarks(), "clicks").map(text -> "" + Integer.parseInt(text)), "io.thrown");
        StreamExecutionEnvironment flow = new StreamExecutionEnvironment(settings("stopped", "streaming", cluster));
        write(flow.fromSource(
            read("stopped").setTopics("io.clicks").setValueOnlyDeserializer(new SimpleStringSchema()).build(),
            WatermarkStrategy.noWatermarks(), "clicks"), "io.stopped");
        JobClient job = flow.executeAsync("stopped");
        Thread.sleep(5000);
        job.stopWithSavepoint(false, "file://" + work + "/savepoints", SavepointFormatType.CANONICAL).get();
        Thread.sleep(2000);
        stream("stream alone", alone, local -> local.fromSource(
            read("alone").setTopics("io.clicks").setBounded(OffsetsInitializer.latest())
                .setValueOnlyDeserializer(new SimpleStringSchema()).build(),
            WatermarkStrategy.noWatermarks(), "clicks"), "io.alone");
    }

    /** Settings of a job; on the port of the cluster it is sent there, else Flink runs inside the job's own process. */
    static Configuration settings(String name, String mode, int port) {
        Configuration made = new Configuration();
        made.setString("pipeline.name", name);
        made.setString("execution.runtime-mode", mode);
        made.setString("execution.attached", "true");
        made.setString("execution.checkpointing.interval", "1s");
        made.setString("execution.job-status-changed-listeners",
            "io.openlineage.flink.listener.OpenLineageJobStatusChangedListenerFactory");
        made.setString("restart-strategy.type", "none");
        made.setString("parallelism.default", "1");
        made.setString("rest.address", "localhost");
        made.setString("rest.port", "" + port);
        made.setString("rest.bind-port", "" + port);
        made.setString("openlineage.job.namespace", "flink");
        made.setString("openlineage.trackingIntervalInSeconds", "2");
        System.getProperties().forEach((key, value) -> {
            if (("" + key).startsWith("openlineage.transport.")) made.setString("" + key, "" + value);
        });
        if (port == cluster) {
            made.setString("execution.target", "remote");
            made.setString("openlineage.flink.enableDetachedJobTracking", "true");
        }
        return made;
    }

    static TableEnvironment sqlEnvironment(String name, String mode, int port, String... statements) {
        System.out.println("job " + name);
        TableEnvironment made = TableEnvironment.create(
            EnvironmentSettings.newInstance().withConfiguration(settings(name, mode, port)).build());
        for (String statement : statements) made.executeSql(statement);
        return made;
    }

    static void sql(String name, String mode, String... statements) throws Exception {
        sql(name, mode, cluster, statements);
    }

    static void sql(String name, String mode, int port, String... statements) throws Exception {
        try {
            int last = statements.length - 1;
            String[] before = Arrays.copyOf(statements, last);
            sqlEnvironment(name, mode, port, before).executeSql(statements[last]).await();
        } catch (Exception problem) {
            System.out.println("failed: " + problem.getMessage());
        }
        Thread.sleep(1000);
    }

    static void stream(
            String name, int port, Function<StreamExecutionEnvironment, DataStream<String>> source, String topic)
            throws Exception {
        System.out.println("job " + name);
        Configuration settings = settings(name, "streaming", port);
        StreamExecutionEnvironment flow = port == cluster ? new StreamExecutionEnvironment(settings)
            : StreamExecutionEnvironment.getExecutionEnvironment(settings);
        write(source.apply(flow), topic);
        try {
            flow.execute(name);
        } catch (Exception problem) {
            System.out.println("failed: " + problem.getMessage());
        }
        Thread.sleep(1000);
    }

    static void write(DataStream<String> lines, String topic) {
        if (topic == null) {
            lines.sinkTo(FileSink.forRowFormat(path("lake/lines"), new SimpleStringEncoder<String>()).build());
        } else {
            lines.sinkTo(KafkaSink.<String>builder().setBootstrapServers(kafka).setRecordSerializer(
                KafkaRecordSerializationSchema.<String>builder().setTopic(topic)
                    .setValueSerializationSchema(new SimpleStringSchema()).build()).build());
        }
    }

    static KafkaSourceBuilder<String> read(String group) {
        return KafkaSource.<String>builder().setBootstrapServers(kafka).setGroupId(group)
            .setStartingOffsets(OffsetsInitializer.earliest());
    }

    static Path path(String name) {
        return new Path("file://" + work + "/" + name);
    }

    static String csv(String columns, String name) {
        return "(" + columns + ") WITH ('connector'='filesystem','path'='" + path(name) + "','format'='csv')";
    }

    static String topic(String columns, String name, String more) {
        return "(" + columns + ") WITH ('connector'='kafka','topic'='" + name + "','properties.bootstrap.servers'='"
            + kafka + "','properties.group.id'='shop','scan.startup.mode'='earliest-offset','format'='json'" + more
            + ")";
    }

    static String table(String columns, String name) {
        return "(" + columns + ") WITH ('connector'='jdbc','url'='" + jdbc + "','username'='" + user
            + "','password'='x','table-name'='" + name + "')";
    }

    /** What the topics hold. */
    public static class Order {
        public int id;
        public String mail;
        public int total;
    }
}
