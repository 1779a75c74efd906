package dev.weft.core.shard;

import dev.weft.core.cluster.Spec;
import dev.weft.core.collective.Collective;
import dev.weft.core.collective.Reducing;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Add;
import dev.weft.core.op.Cast;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Reshape;
import dev.weft.core.op.Shard;
import dev.weft.core.op.Transpose;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.IntPredicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;

/**
 * What became of a program on a mesh, in the words of who wrote it: how every value is split and
 * why, and every collective. Values that only the reader of texts made stand under the names that
 * they were written behind.
 *
 * @param values in the order of the program, those in bodies of repeats before the repeat's
 * @param collectives equal ones once, with how often they are done in all
 * @param remarks what could not be split, and why
 */
public record Explanation(
    List<SplitValue> values, List<CollectiveUse> collectives, List<String> remarks) {

  /**
   * A value of the program.
   *
   * @param name with a percent sign, as in the text form
   * @param from where the spec comes from
   */
  public record SplitValue(String name, TensorType type, Spec spec, String from) {}

  /** How often something is done, and the bytes that a device sends for it. */
  public record Total(long count, long bytes) {
    private Total plus(CollectiveUse use) {
      return new Total(count + use.count(), bytes + use.totalBytes());
    }
  }

  private static final Pattern NAME = Pattern.compile("%[A-Za-z0-9_.*/-]+");
  private static final Pattern MADE_BY_TEXT = Pattern.compile("(.*)\\.(sharded|returned[0-9]+)");

  public Explanation {
    values = List.copyOf(values);
    collectives = List.copyOf(collectives);
    remarks = List.copyOf(remarks);
  }

  /** Explains a program that is run once. */
  public static Explanation of(Graph program, Partitioned partitioned) {
    return of(program, partitioned, 1);
  }

  /**
   * Explains a program.
   *
   * @param program before it was partitioned
   * @param passes how often it is run
   */
  public static Explanation of(Graph program, Partitioned partitioned, long passes) {
    var words = new Words();
    words.read(program);
    var listing = new Listing(partitioned.propagation(), words);
    listing.add(program);
    var weightGradients = new WeightGradients(program);
    return new Explanation(
        listing.values,
        merged(
            partitioned.collectives().stream()
                .map(weightGradients::named)
                .map(use -> words.named(use).times(passes))
                .toList()),
        partitioned.remarks().stream().map(words::translated).distinct().toList());
  }

  /** Both of two programs, values of one name as the first has them. */
  public Explanation and(Explanation other) {
    var names = new HashSet<String>();
    values.forEach(value -> names.add(value.name()));
    var allValues = new ArrayList<>(values);
    other.values.stream().filter(value -> names.add(value.name())).forEach(allValues::add);
    var allCollectives = new ArrayList<>(collectives);
    allCollectives.addAll(other.collectives);
    var allRemarks = new LinkedHashSet<>(remarks);
    allRemarks.addAll(other.remarks);
    return new Explanation(allValues, merged(allCollectives), List.copyOf(allRemarks));
  }

  private static List<CollectiveUse> merged(List<CollectiveUse> uses) {
    var counts = new LinkedHashMap<CollectiveUse, Long>();
    for (CollectiveUse use : uses) {
      counts.merge(use.withCount(1), use.count(), Long::sum);
    }
    return counts.entrySet().stream().map(e -> e.getKey().withCount(e.getValue())).toList();
  }

  /** For every kind of collective how often it is done. */
  public Map<Collective.Kind, Total> totals() {
    var totals = new EnumMap<Collective.Kind, Total>(Collective.Kind.class);
    for (Collective.Kind kind : Collective.Kind.values()) {
      totals.put(kind, new Total(0, 0));
    }
    for (CollectiveUse use : collectives) {
      totals.computeIfPresent(use.op().kind(), (_, total) -> total.plus(use));
    }
    return totals;
  }

  /** The bytes that a device sends in all, before collectives are merged. */
  public long bytesPerDevice() {
    return collectives.stream().mapToLong(CollectiveUse::totalBytes).sum();
  }

  /** From the names of values that texts are read into to the names in the texts. */
  private static final class Words {
    private final Map<String, String> written = new LinkedHashMap<>();

    /** By the value that a text made: the one that was written. */
    private final Map<Value, Value> roots = new HashMap<>();

    /** By the value that was written: its first annotation. */
    private final Map<Value, Value> annotated = new LinkedHashMap<>();

    void read(Graph graph) {
      for (Node node : graph.nodes()) {
        if (node.op() instanceof Shard) {
          Matcher made = MADE_BY_TEXT.matcher(node.output(0).name());
          if (made.matches() && made.group(1).equals(node.input(0).name())) {
            written.put(node.output(0).name(), word(made.group(1)));
            Value root = roots.getOrDefault(node.input(0), node.input(0));
            roots.put(node.output(0), root);
            annotated.putIfAbsent(root, node.output(0));
          }
        }
        node.op().bodies().forEach(this::read);
      }
    }

    String word(String name) {
      return written.getOrDefault(name, name);
    }

    boolean isWritten(Value value) {
      return !written.containsKey(value.name());
    }

    String translated(String text) {
      return NAME.matcher(text)
          .replaceAll(found -> Matcher.quoteReplacement("%" + word(found.group().substring(1))));
    }

    CollectiveUse named(CollectiveUse use) {
      return use.withWords(word(use.value()), translated(use.reason()));
    }
  }

  /**
   * Values of the backward that end in parameters' gradients and that the backward of no earlier
   * forward node waits for: those of several that one node makes, too.
   */
  private static final class WeightGradients {
    private final Set<Value> found = new HashSet<>();

    /** Names with types: those in bodies of repeats are not alone. */
    private final Set<String> late = new HashSet<>();

    private final Set<String> early = new HashSet<>();

    WeightGradients(Graph program) {
      Map<Value, Node> producers = program.producers();
      find(
          program,
          i -> {
            Node producer = producers.get(program.outputs().get(i).value());
            return producer != null && producer.origin().role() != Role.FORWARD;
          });
    }

    /**
     * @param wanted whether the output of that number is a parameter's gradient, or part of one
     */
    private void find(Graph graph, IntPredicate wanted) {
      Map<Value, List<Node>> consumers = graph.consumers();
      List<Value> outputs = graph.outputValues();
      Set<Value> used = new HashSet<>(outputs);
      used.addAll(consumers.keySet());
      for (Node node : graph.nodes().reversed()) {
        for (Value value : node.outputs()) {
          boolean only =
              used.contains(value)
                  && consumers.getOrDefault(value, List.of()).stream()
                      .allMatch(reader -> serves(reader, node) && allFound(reader, used))
                  && IntStream.range(0, outputs.size())
                      .filter(i -> outputs.get(i) == value)
                      .allMatch(wanted);
          if (only) {
            found.add(value);
          }
          (only ? late : early).add(key(value.name(), value.type()));
        }
      }
      for (Node node : graph.nodes()) {
        if (node.op() instanceof Repeat repeat) {
          find(repeat.body(), i -> i >= repeat.carried() && found.contains(node.output(i)));
        }
      }
    }

    /** Whether a reader is of the same forward node, or only hands gradients on. */
    private static boolean serves(Node reader, Node node) {
      return Objects.equals(reader.origin().forward(), node.origin().forward())
          || switch (reader.op()) {
            case Add _, Shard _, Cast _, Reshape _, Transpose _ -> true;
            default -> false;
          };
    }

    private boolean allFound(Node reader, Set<Value> used) {
      return reader.outputs().stream().allMatch(v -> found.contains(v) || !used.contains(v));
    }

    private static String key(String name, TensorType type) {
      return name + ": " + type;
    }

    CollectiveUse named(CollectiveUse use) {
      String key = key(use.value(), use.global());
      boolean only = late.contains(key) && !early.contains(key);
      return only && use.op() instanceof Reducing && use.role() != Role.UPDATE
          ? use.withRole(Role.WEIGHT_GRADIENT)
          : use;
    }
  }

  /** Lists the values of a program. */
  private static final class Listing {
    private final Propagation.Result propagation;
    private final Words words;
    private final List<SplitValue> values = new ArrayList<>();
    private final Set<String> names = new HashSet<>();

    Listing(Propagation.Result propagation, Words words) {
      this.propagation = propagation;
      this.words = words;
    }

    void add(Graph graph) {
      graph.inputValues().forEach(value -> add(graph, value));
      for (Node node : graph.nodes()) {
        node.op().bodies().forEach(this::add);
        node.outputs().stream().filter(words::isWritten).forEach(value -> add(graph, value));
      }
    }

    private void add(Graph graph, Value value) {
      // Bodies of repeats have names of their own.
      String name = names.add(value.name()) ? value.name() : graph.name() + "/" + value.name();
      names.add(name);
      Value word = words.annotated.getOrDefault(value, value);
      Spec spec = propagation.spec(word);
      String origin = Objects.requireNonNullElse(propagation.origins().get(word), "");
      String from =
          origin.isEmpty()
              ? spec.axes().isEmpty() ? "nothing splits it" : "its operands"
              : words.translated(origin);
      values.add(new SplitValue("%" + name, value.type(), spec, from));
    }
  }
}
