package dev.weft.runtime.cluster;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.Cluster;
import dev.weft.core.cluster.Curve;
import dev.weft.core.cluster.DeviceProfile;
import dev.weft.core.cluster.Link;
import dev.weft.core.cluster.Suggestion;
import dev.weft.core.cluster.UserException;
import dev.weft.runtime.machine.Caches;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** Clusters as JSON: the presets, files of a user's own, and what was measured of this machine. */
public final class ClusterFile {
  /** What names this machine, as {@code weft cluster profile} has measured it. */
  public static final String LOCAL = "local";

  private static final List<String> PRESETS =
      List.of("p3.16xlarge", "p3.8xlarge", "p100-pcie", "tpu-v3", "a100", "h100");

  private static final String OVERLAP = "collectives_overlap";

  private static final ObjectMapper JSON =
      JsonMapper.builder()
          .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
          .configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, true)
          .configure(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES, true)
          .configure(DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES, true)
          .configure(SerializationFeature.INDENT_OUTPUT, true)
          .build();

  private record Way(double latencySeconds, double bytesPerSecond) {
    Link link() {
      return new Link(latencySeconds, bytesPerSecond);
    }
  }

  private record Device(
      long memoryBytes,
      Map<String, Double> peakFlopsPerSecond,
      double memoryBytesPerSecond,
      double callSeconds,
      Map<String, List<List<Double>>> efficiency) {}

  private record Content(
      @JsonProperty("about") @Nullable String about,
      int hosts,
      int devicesPerHost,
      boolean collectivesOverlap,
      Device device,
      Way within,
      Way between) {}

  private ClusterFile() {}

  /**
   * Reads a cluster.
   *
   * @param text a preset, {@code local} or a file, and perhaps the number of hosts: {@code
   *     p3.16xlarge:8}
   * @throws UserException if there is no such cluster, or its file is wrong
   */
  public static Cluster read(String text) {
    int colon = text.lastIndexOf(':');
    String name = colon < 0 ? text : text.substring(0, colon);
    Cluster cluster = named(name);
    if (colon < 0) {
      return cluster;
    }
    try {
      return cluster.withHosts(Integer.parseInt(text.substring(colon + 1)));
    } catch (NumberFormatException e) {
      throw new UserException(
          "expected a cluster like p3.16xlarge:8 with a number of hosts, found '" + text + "'", e);
    }
  }

  private static Cluster named(String name) {
    if (PRESETS.contains(name)) {
      try (InputStream file =
          ClusterFile.class.getResourceAsStream("/presets/clusters/" + name + ".json")) {
        if (file == null) {
          throw new IllegalStateException("the preset " + name + " is missing");
        }
        return parse(
            name, new String(file.readAllBytes(), java.nio.charset.StandardCharsets.UTF_8));
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
    Path file = name.equals(LOCAL) ? local() : Path.of(name);
    try {
      return parse(name, Files.readString(file));
    } catch (IOException e) {
      throw new UserException(
          name.equals(LOCAL)
              ? "this machine has not been measured yet: run ./weft cluster profile"
              : "there is no cluster and no file '"
                  + name
                  + "'"
                  + Suggestion.hint(name, PRESETS)
                  + "; presets are "
                  + String.join(", ", PRESETS),
          e);
    }
  }

  /**
   * This machine, if it has been measured.
   *
   * @throws UserException if what was written then cannot be read
   */
  public static Optional<Cluster> measured() {
    return Files.exists(local()) ? Optional.of(named(LOCAL)) : Optional.empty();
  }

  /** Where the measurements of this machine lie. */
  public static Path local() {
    return Caches.directory().resolve("clusters").resolve("local.json");
  }

  private static Cluster parse(String name, String text) {
    try {
      Content content = JSON.treeToValue(complete(JSON.readTree(text)), Content.class);
      Map<String, Curve> efficiency = new TreeMap<>();
      content
          .device()
          .efficiency()
          .forEach(
              (kind, points) ->
                  efficiency.put(
                      kind, new Curve(points.stream().map(p -> point(name, kind, p)).toList())));
      Device device = content.device();
      return new Cluster(
          name,
          content.hosts(),
          content.devicesPerHost(),
          new DeviceProfile(
              Bytes.of(device.memoryBytes()),
              device.peakFlopsPerSecond(),
              device.memoryBytesPerSecond(),
              device.callSeconds(),
              efficiency),
          content.within().link(),
          content.between().link(),
          content.collectivesOverlap());
    } catch (JsonProcessingException e) {
      throw new UserException(
          "the cluster '" + name + "' is no cluster's JSON: " + e.getOriginalMessage(), e);
    } catch (IllegalArgumentException e) {
      throw new UserException("the cluster '" + name + "': " + e.getMessage(), e);
    }
  }

  /** A cluster that does not say so is one whose devices do themselves what is sent. */
  private static JsonNode complete(JsonNode tree) {
    if (tree instanceof ObjectNode content && !content.has(OVERLAP)) {
      content.put(OVERLAP, false);
    }
    return tree;
  }

  private static Curve.Point point(String name, String kind, List<Double> numbers) {
    if (numbers.size() != 2) {
      throw new UserException(
          "the cluster '" + name + "': efficiency of " + kind + " needs points [size, share]");
    }
    return new Curve.Point(numbers.get(0), numbers.get(1));
  }

  /** Writes a cluster as a file that {@link #read} takes. */
  public static void write(Cluster cluster, String about, Path file) {
    Map<String, List<List<Double>>> efficiency = new TreeMap<>();
    cluster
        .device()
        .efficiency()
        .forEach(
            (kind, curve) ->
                efficiency.put(
                    kind, curve.points().stream().map(p -> List.of(p.size(), p.share())).toList()));
    DeviceProfile device = cluster.device();
    var content =
        new Content(
            about,
            cluster.hosts(),
            cluster.devicesPerHost(),
            cluster.overlaps(),
            new Device(
                device.memory().count(),
                new TreeMap<>(device.peaks()),
                device.bytesPerSecond(),
                device.callSeconds(),
                efficiency),
            new Way(cluster.within().latency(), cluster.within().bytesPerSecond()),
            new Way(cluster.between().latency(), cluster.between().bytesPerSecond()));
    try {
      Files.createDirectories(file.toAbsolutePath().getParent());
      Files.writeString(file, JSON.writeValueAsString(content) + "\n");
    } catch (IOException e) {
      throw new UserException("cannot write '" + file + "': " + e.getMessage(), e);
    }
  }
}
