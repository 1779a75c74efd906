package dev.weft.core.stage;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Repeat;
import dev.weft.core.shard.Partitioned;
import dev.weft.core.shard.Partitioner;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * Graphs rewritten for the devices of a mesh. Most pieces of a deep model are alike: what equals an
 * earlier graph but for the names of values is not rewritten again.
 */
public final class Partitions {
  private final Mesh mesh;
  private final Map<List<Object>, Partitioned> known = new HashMap<>();

  public Partitions(Mesh mesh) {
    this.mesh = mesh;
  }

  public Mesh mesh() {
    return mesh;
  }

  /**
   * The graph on local tensors, its inputs under their names.
   *
   * @param given no specs beside layouts
   */
  public Partitioned of(Graph graph, Partitioner.Given given) {
    if (!given.specs().isEmpty()) {
      throw new IllegalArgumentException("specs of values are not compared: " + given.specs());
    }
    List<Object> key = structure(graph);
    graph.inputValues().forEach(v -> key.add(Optional.ofNullable(given.inputs().get(v))));
    key.add(new TreeMap<>(given.outputs()));
    key.add(new TreeSet<>(given.loose()));
    Partitioned found = known.get(key);
    if (found == null) {
      found = Partitioner.partition(graph, mesh, given);
      known.put(key, found);
      return found;
    }
    return new Partitioned(
        renewed(found.graph(), graph),
        mesh,
        found.inputs(),
        found.outputs(),
        found.propagation(),
        found.collectives(),
        found.remarks());
  }

  /** All that rewriting goes by: values are numbered instead of named. */
  public static List<Object> structure(Graph graph) {
    var key = new ArrayList<Object>();
    describe(graph, key);
    return key;
  }

  private static void describe(Graph graph, List<Object> key) {
    Map<Value, Integer> numbers = new IdentityHashMap<>();
    key.add(graph.inputs().size());
    for (Graph.Input input : graph.inputs()) {
      numbers.put(input.value(), numbers.size());
      key.add(input.kind());
      key.add(input.value().type());
    }
    key.add(graph.nodes().size());
    for (Node node : graph.nodes()) {
      if (node.op() instanceof Repeat repeat) {
        key.add(List.of(repeat.count(), repeat.carried(), repeat.stacked(), repeat.reverse()));
        describe(repeat.body(), key);
      } else {
        key.add(node.op());
      }
      key.add(node.origin());
      key.add(node.inputs().stream().map(numbers::get).toList());
      for (Value output : node.outputs()) {
        numbers.put(output, numbers.size());
        key.add(output.type());
      }
    }
    for (Graph.Output output : graph.outputs()) {
      Value donated = output.donated();
      key.add(Optional.ofNullable(numbers.get(output.value())));
      key.add(Optional.ofNullable(donated).map(numbers::get));
    }
  }

  /** The same with values of its own, and inputs named as those of another graph. */
  private static Graph renewed(Graph local, Graph named) {
    Map<Value, Value> values = new HashMap<>();
    for (int i = 0; i < local.inputs().size(); i++) {
      Value value = local.inputs().get(i).value();
      values.put(value, new Value(named.inputs().get(i).value().name(), value.type()));
    }
    for (Node node : local.nodes()) {
      node.outputs().forEach(value -> values.put(value, new Value(value.name(), value.type())));
    }
    return local.replaced(values);
  }
}
