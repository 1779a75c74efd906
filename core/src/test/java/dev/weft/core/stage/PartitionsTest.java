package dev.weft.core.stage;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotSame;

import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Value;
import dev.weft.core.shard.Partitioned;
import dev.weft.core.shard.Partitioner;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;

final class PartitionsTest {
  private static final Mesh MESH = Mesh.parse("data=2,model=2");

  private static Partitioner.Given given(Map<Value, Layout> inputs) {
    return new Partitioner.Given(Map.of(), inputs, Map.of(), Set.of());
  }

  private static Graph renamed(Graph graph) {
    Map<Value, Value> values = new HashMap<>();
    graph.inputValues().forEach(v -> values.put(v, new Value(v.name() + ".other", v.type())));
    for (Node node : graph.nodes()) {
      node.outputs().forEach(v -> values.put(v, new Value(v.name() + ".other", v.type())));
    }
    return graph.replaced(values);
  }

  /** What is alike but for names becomes what it would become by itself. */
  @Property(tries = 15)
  void whatIsAlikeIsRewrittenOnce(@ForAll long seed) {
    Graph graph = RandomModels.trace(seed, true).graph();
    Graph other = renamed(graph);
    var partitions = new Partitions(MESH);
    Partitioned first = partitions.of(graph, given(Map.of()));
    Partitioned second = partitions.of(other, given(Map.of()));
    assertEquals(
        other.inputValues().stream().map(Value::name).toList(),
        second.graph().inputValues().stream().map(Value::name).toList());
    for (Partitioned one : List.of(first, second)) {
      assertEquals(
          Partitions.structure(Partitioner.partition(other, MESH).graph()),
          Partitions.structure(one.graph()));
    }
    for (int i = 0; i < first.graph().nodes().size(); i++) {
      for (int j = 0; j < first.graph().nodes().get(i).outputs().size(); j++) {
        assertNotSame(
            first.graph().nodes().get(i).output(j), second.graph().nodes().get(i).output(j));
      }
    }
  }

  /** Layouts of inputs count. */
  @Property(tries = 10)
  void whatLiesElsewhereIsNotAlike(@ForAll long seed) {
    Graph graph = RandomModels.trace(seed, true).graph();
    var partitions = new Partitions(MESH);
    partitions.of(graph, given(Map.of()));
    Value x = graph.input("x").orElseThrow();
    Map<Value, Layout> split =
        Map.of(x, new Layout(List.of(List.of("model"), List.of()), Map.of()));
    Partitioned own = partitions.of(graph, given(split));
    assertEquals(
        Partitions.structure(Partitioner.partition(graph, MESH, given(split)).graph()),
        Partitions.structure(own.graph()));
    assertEquals(split.get(x), own.inputs().get(graph.inputValues().indexOf(x)));
  }
}
