package dev.weft.core.programs;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.grad.GradientMacro;
import dev.weft.core.graph.Graph;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Objects;
import java.util.OptionalLong;
import java.util.Properties;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A graph in the text form with shardings, a mesh, and what XLA's partitioner (JAX 0.10.2, CPU)
 * inserts into it: {@code programs/NAME.txt} and {@code programs/NAME.properties}.
 */
public record Program(String name, String text, Properties figures) {
  /** All programs. */
  public static final List<Program> ALL =
      List.of(
              "mlp_step_data",
              "mlp2_step_tensor",
              "gpt_block_step",
              "zero3_step",
              "ffn_2d_forward",
              "moe_forward",
              "embedding_vocab",
              "layer_norm_hidden",
              "conv_forward",
              "conv_step",
              "reshard_S0_S1",
              "reshard_xy_yx",
              "slice_sharded",
              "einsum_batch_contract")
          .stream()
          .map(Program::of)
          .toList();

  private static final Pattern LIST = Pattern.compile("\\[[0-9,]+]|depth=[0-9]+");
  private static final Pattern NUMBER = Pattern.compile("[0-9]+");

  /** The program of that name. */
  public static Program of(String name) {
    var figures = new Properties();
    try (InputStream text = open(name + ".txt");
        InputStream numbers = open(name + ".properties")) {
      figures.load(numbers);
      return new Program(name, new String(text.readAllBytes(), StandardCharsets.UTF_8), figures);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static InputStream open(String file) {
    return Objects.requireNonNull(Program.class.getResourceAsStream("/programs/" + file), file);
  }

  public Mesh mesh() {
    return Mesh.parse(figure("mesh"));
  }

  public Graph graph() {
    return GradientMacro.parse(text, name + ".txt");
  }

  private String figure(String key) {
    return Objects.requireNonNull(figures.getProperty(key), () -> name + ": " + key);
  }

  /** Bytes sent per device under XLA's default propagation. */
  public long xlaBytes() {
    return Long.parseLong(figure("xla.bytes"));
  }

  /** The same, each all-reduce of which only slices are used counted as a reduce-scatter. */
  public long xlaBytesScattered() {
    return Long.parseLong(figure("xla.bytes.scattered"));
  }

  /** The fewest bytes that one of XLA's two propagations comes to, with reduce-scatters. */
  public long best() {
    return Math.min(xlaBytesScattered(), Long.parseLong(figure("older.bytes.scattered")));
  }

  /** Bytes of a plan worked out on paper, where there is one. */
  public OptionalLong byHand() {
    String bytes = figures.getProperty("hand.bytes");
    return bytes == null ? OptionalLong.empty() : OptionalLong.of(Long.parseLong(bytes));
  }

  /** A copy with small sizes, in double precision: quick to run in plain Java. */
  public Graph small() {
    String small = text.replace("f32", "f64");
    var sizes = new Properties();
    for (String pair : figure("small").split(",")) {
      sizes.setProperty(pair.split(":")[0].trim(), pair.split(":")[1].trim());
    }
    Matcher lists = LIST.matcher(small);
    return GradientMacro.parse(
        lists.replaceAll(
            list ->
                NUMBER
                    .matcher(list.group())
                    .replaceAll(n -> sizes.getProperty(n.group(), n.group()))),
        name + ".txt");
  }

  @Override
  public String toString() {
    return name;
  }
}
