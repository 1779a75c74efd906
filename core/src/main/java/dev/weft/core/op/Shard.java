package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.cluster.Spec;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.ShapeException;
import dev.weft.core.graph.Strided;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * A tensor as it is, with a word of the user on how it shall be split over a mesh. On one device it
 * does nothing.
 */
public record Shard(Spec spec) implements Primitive {
  static final OpEntry ENTRY =
      OpEntry.of(Shard.class, Example.of(new Shard(Spec.parse("[{data},?]")), Example.f32(3, 4)));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    Check.require(
        inputs.getFirst().rank() == spec.rank(), this, inputs, mismatch(spec, inputs.getFirst()));
    return inputs;
  }

  /** Refuses a sharding of another rank than the tensor's. */
  static void requireRank(Spec spec, TensorType type) {
    if (type.rank() != spec.rank()) {
      throw new ShapeException(mismatch(spec, type));
    }
  }

  private static String mismatch(Spec spec, TensorType type) {
    return "the sharding %s is for a tensor of rank %d, this one has rank %d"
        .formatted(spec, spec.rank(), type.rank());
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    return Factors.elementwise(1, 1, inputs.getFirst().rank());
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.NONE;
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    return List.of(Kernel.of("weft::copy(y0, x0)"));
  }

  @Override
  public Optional<Strided> view(Strided input) {
    return Optional.of(input);
  }

  /** A cotangent is split as its value is. */
  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    return List.of(Tensor.one(this, adjoint.cotangent()));
  }

  @Override
  public List<Literal> reference(List<Literal> inputs) {
    return inputs;
  }

  /** The graph without a word on sharding: what one device runs. */
  public static Graph erase(Graph graph) {
    Map<Value, Value> replaced = new HashMap<>();
    var nodes = new ArrayList<Node>();
    for (Node node : graph.nodes()) {
      List<Value> inputs = node.inputs().stream().map(v -> replaced.getOrDefault(v, v)).toList();
      if (node.op() instanceof Shard) {
        replaced.put(node.output(0), inputs.getFirst());
        continue;
      }
      Op op =
          node.op() instanceof Repeat repeat ? repeat.withBody(erase(repeat.body())) : node.op();
      nodes.add(new Node(op, inputs, node.outputs(), node.origin()));
    }
    return new Graph(graph.name(), graph.inputs(), nodes, Substitution.outputs(graph, replaced));
  }

  /** The value that annotations were put on; the value itself where none were. */
  public static Value annotated(Graph graph, Value value) {
    Value plain = value;
    for (Node node : graph.nodes().reversed()) {
      if (node.op() instanceof Shard && node.output(0) == plain) {
        plain = node.input(0);
      }
    }
    return plain;
  }

  /**
   * What is written on a graph's inputs: the annotation that reads an input first, in the body of a
   * repeat too. The dim of stacked rounds is whole.
   */
  public static Map<Value, Spec> ofInputs(Graph graph) {
    Map<Value, Spec> written = new LinkedHashMap<>();
    Set<Value> inputs = new HashSet<>(graph.inputValues());
    for (Node node : graph.nodes()) {
      if (node.op() instanceof Shard shard && inputs.contains(node.input(0))) {
        written.putIfAbsent(node.input(0), shard.spec);
      }
    }
    for (Node node : graph.nodes()) {
      if (node.op() instanceof Repeat repeat) {
        Map<Value, Spec> inside = ofInputs(repeat.body());
        for (int i = repeat.carried(); i < node.inputs().size(); i++) {
          Spec spec = inside.get(repeat.body().inputValues().get(i + 1));
          if (spec != null && inputs.contains(node.input(i))) {
            written.putIfAbsent(node.input(i), repeat.isStacked(i) ? spec.stacked() : spec);
          }
        }
      }
    }
    return written;
  }

  @Override
  public List<List<Integer>> linear(List<TensorType> inputs) {
    return List.of(List.of(0));
  }
}
