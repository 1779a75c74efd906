package dev.weft.nn.step;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.collective.Bucket;
import dev.weft.core.collective.Bucketing;
import dev.weft.core.collective.Collective;
import dev.weft.core.collective.Hoisting;
import dev.weft.core.collective.Reducing;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Repeat;
import dev.weft.core.trace.Parameter;
import dev.weft.nn.model.Gpt;
import dev.weft.nn.model.ModelConfig;
import dev.weft.nn.optimizer.Optimizer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Which collective reduces which gradient of a model. */
final class BucketsTest {
  private static final StepGraphs GRAPHS =
      StepGraphs.of(
          new Gpt(),
          new ModelConfig(3, 16, 2, 8, 40, 0),
          8,
          DataType.F32,
          new Optimizer.AdamW(0.9, 0.999, 1e-8, 0.1),
          1);

  /** A reduction in a graph or the body of a repeat, and which of its tensors. */
  private record Part(Node collective, int tensor) {}

  @ParameterizedTest(name = "{0}, ZeRO {1}, {2} micro-batches, buckets of {3} bytes")
  @CsvSource({
    "data=2, 0, 1, 1",
    "data=2, 0, 1, 2000",
    "data=2, 0, 2, 5000",
    "data=4, 1, 1, 5000",
    "data=4, 2, 1, 9000",
    "data=2, 2, 2, 5000",
    "data=4, 3, 1, 3000",
    "'data=2,model=2', 0, 1, 4000",
    "data=2, 0, 1, 4194304",
  })
  void everyGradientIsInOneBucket(String axes, int zero, int microBatches, long limit) {
    Mesh mesh = Mesh.parse(axes);
    ShardedStep step = ShardedStep.of(GRAPHS, mesh, zero, microBatches);
    Graph plain = step.passes().getLast().half().partitioned().graph();
    Graph graph = Bucketing.apply(Hoisting.apply(plain), Bytes.of(limit));
    Set<Part> taken = new HashSet<>();
    Set<Node> collectives = new LinkedHashSet<>();
    for (int i = 0; i < GRAPHS.parameters().size(); i++) {
      Parameter parameter = GRAPHS.parameters().get(i);
      List<Part> parts = new ArrayList<>();
      trace(graph, graph.outputValues().get(2 + i), List.of(), parts);
      // The token table is summed in two places where each micro-batch's gradients are scattered.
      boolean table = parameter.name().equals("wte") && zero >= 2;
      assertTrue(parts.size() == 1 || table && parts.size() <= 2, parameter.name() + parts);
      parts.forEach(part -> assertTrue(taken.add(part), () -> part + " is of two gradients"));
      parts.forEach(part -> collectives.add(part.collective()));
    }
    for (Node node : collectives) {
      long bytes = node.inputTypes().stream().mapToLong(TensorType::bytes).sum();
      assertTrue(node.inputs().size() == 1 || bytes <= limit, () -> node + " has " + bytes);
      Set<Integer> members = new HashSet<>();
      taken.stream().filter(p -> p.collective().equals(node)).forEach(p -> members.add(p.tensor()));
      // Besides gradients only the loss and its weight, which are two numbers.
      for (int tensor = 0; tensor < node.inputs().size(); tensor++) {
        assertTrue(members.contains(tensor) || node.input(tensor).type().rank() == 0);
      }
    }
    beginWhenReady(graph, collectives);
    assertEquals(bytes(plain, 1), bytes(graph, 1));
  }

  /** Finds the reductions over data whose results a gradient is made of. */
  private static void trace(Graph graph, Value value, List<Value> seen, List<Part> parts) {
    Node node = graph.producers().get(value);
    if (node == null || seen.contains(value)) {
      return;
    }
    var path = new ArrayList<>(seen);
    path.add(value);
    int index = node.outputs().indexOf(value);
    boolean reduces = node.op() instanceof Reducing || node.op() instanceof Bucket;
    if (reduces && overData(node)) {
      var part = new Part(node, index);
      if (!parts.contains(part)) {
        parts.add(part);
      }
    } else if (node.op() instanceof Repeat repeat) {
      trace(repeat.body(), repeat.body().outputValues().get(index), path, parts);
      if (index < repeat.carried()) {
        trace(graph, node.input(index), path, parts);
      }
    } else if (node.inputs().size() <= 2 && node.op().name().equals("add")) {
      node.inputs().forEach(input -> trace(graph, input, path, parts));
    } else if (node.inputs().size() == 1 || node.op().name().equals("scatter_add")) {
      trace(graph, node.input(0), path, parts);
    }
  }

  private static boolean overData(Node node) {
    return ((Collective) node.op()).axes().stream().anyMatch(a -> a.name().equals("data"));
  }

  /** Between what makes the last of its gradients and a bucket nothing is computed. */
  private static void beginWhenReady(Graph graph, Set<Node> collectives) {
    Map<Value, Integer> made = new HashMap<>();
    int computed = 0;
    for (Node node : graph.nodes()) {
      if (collectives.contains(node)) {
        int ready = 0;
        for (Value input : node.inputs()) {
          ready = Math.max(ready, made.getOrDefault(input, 0));
        }
        assertEquals(ready, computed, () -> node + " begins late");
      } else if (!(node.op() instanceof Collective)) {
        computed++;
      }
      for (Value output : node.outputs()) {
        made.put(output, computed);
      }
      node.op().bodies().forEach(body -> beginWhenReady(body, collectives));
    }
  }

  /** Bytes that reductions send, all rounds included. */
  private static long bytes(Graph graph, long times) {
    long bytes = 0;
    for (Node node : graph.nodes()) {
      if (node.op() instanceof Repeat repeat) {
        bytes += bytes(repeat.body(), times * repeat.count());
      } else if (node.op() instanceof Collective collective) {
        assertFalse(collective.members() < 2);
        bytes += times * collective.bytesSent(node.inputTypes());
      }
    }
    return bytes;
  }
}
