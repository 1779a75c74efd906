package dev.weft.core.grad;

import dev.weft.core.graph.Builder;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Origin;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Adjoint;
import dev.weft.core.op.Composite;
import dev.weft.core.op.Differentiable;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Shard;
import dev.weft.core.op.Tensor;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Reverse-mode differentiation. The forward nodes stay what they are; repeats get more outputs,
 * what their gradient needs of each round.
 */
public final class Autodiff {
  private final Builder builder;
  private final Map<Value, Tensor> cotangents = new HashMap<>();
  private final Set<Value> active;
  private final Set<Value> seeded;

  /** Inputs that gradients are wanted by: what is written on them leaves their gradients free. */
  private final Set<Value> leaves;

  private final Map<Node, RepeatGradient> repeats = new HashMap<>();

  private Autodiff(Builder builder, Set<Value> active, Set<Value> seeded, Set<Value> leaves) {
    this.builder = builder;
    this.active = active;
    this.seeded = seeded;
    this.leaves = leaves;
  }

  /**
   * Where the derivatives of a part of a model begin, and what they are wanted by.
   *
   * @param losses scalars whose derivative is 1
   * @param arriving derivatives that are inputs; those by one value add up
   * @param inputs float inputs of the graph whose derivatives others wait for
   * @param parameters float inputs whose derivatives are the aim
   * @param accumulate whether the gradients of parameters are added to accumulators: further
   *     inputs, {@code name.sum}, whose memory the sums take over
   */
  public record Ends(
      List<Value> losses,
      List<Arriving> arriving,
      List<Value> inputs,
      List<Value> parameters,
      boolean accumulate) {
    public Ends {
      losses = List.copyOf(losses);
      arriving = List.copyOf(arriving);
      inputs = List.copyOf(inputs);
      parameters = List.copyOf(parameters);
    }
  }

  /**
   * A derivative by a value of the graph, an input of that name.
   *
   * @param name of the input
   */
  public record Arriving(Value value, String name) {}

  /**
   * A graph with the gradients of a scalar as further outputs, behind its own.
   *
   * @param forward a graph that returns the scalar
   * @param loss the scalar
   * @param wanted the inputs whose gradients are returned, in this order
   * @param accumulate whether gradients are added to accumulators: further inputs, of the wanted
   *     inputs' types, whose memory the sums take over
   * @throws IllegalArgumentException if the loss is no scalar float
   */
  public static Graph gradients(Graph forward, Value loss, List<Value> wanted, boolean accumulate) {
    return gradients(forward, new Ends(List.of(loss), List.of(), List.of(), wanted, accumulate));
  }

  /**
   * A graph with derivatives as further outputs, behind its own: those by the inputs, then those by
   * the parameters. Its inputs are the forward graph's, then what arrives, then accumulators.
   *
   * @throws IllegalArgumentException if a loss is no scalar float
   */
  public static Graph gradients(Graph forward, Ends ends) {
    for (Value loss : ends.losses()) {
      if (!loss.dtype().isFloat() || loss.type().rank() != 0) {
        throw new IllegalArgumentException("a gradient needs a scalar float, found " + loss);
      }
    }
    var builder = new Builder(forward.name());
    forward.inputs().forEach(builder::append);
    var wanted = new HashSet<>(ends.inputs());
    wanted.addAll(ends.parameters());
    Set<Value> active = activity(forward.nodes(), wanted);
    var arrived = new ArrayList<Value>();
    for (Arriving arriving : ends.arriving()) {
      arrived.add(builder.input(arriving.name(), arriving.value().type(), Graph.Kind.DATA));
    }
    var accumulators = new LinkedHashMap<Value, Value>();
    if (ends.accumulate()) {
      for (Value value : ends.parameters()) {
        accumulators.put(
            value, builder.input(value.name() + ".sum", value.type(), Graph.Kind.ACCUMULATOR));
      }
    }
    var autodiff =
        new Autodiff(builder, active, accumulators.keySet(), Set.copyOf(ends.parameters()));
    autodiff.emitForward(forward.nodes(), uses(forward));
    builder.prefix("grad.");
    accumulators.forEach((value, sum) -> autodiff.cotangents.put(value, new Tensor(builder, sum)));
    for (Value loss : ends.losses()) {
      builder.origin(new Origin(loss.name(), Role.INPUT_GRADIENT, source(forward, loss)));
      autodiff.accumulate(loss, Tensor.constant(builder, loss.dtype(), 1));
    }
    for (int i = 0; i < arrived.size(); i++) {
      Value value = ends.arriving().get(i).value();
      builder.origin(new Origin(value.name(), Role.INPUT_GRADIENT, source(forward, value)));
      autodiff.accumulate(value, new Tensor(builder, arrived.get(i)));
    }
    autodiff.backward(forward.nodes());
    for (Graph.Output output : forward.outputs()) {
      builder.output(output.value(), output.donated());
    }
    var awaited = new HashSet<Value>();
    for (Value value : ends.inputs()) {
      builder.origin(new Origin(value.name(), Role.INPUT_GRADIENT, ""));
      Value gradient = autodiff.derivative(value);
      builder.output(gradient);
      awaited.add(gradient);
    }
    for (Value value : ends.parameters()) {
      builder.origin(new Origin(value.name(), Role.WEIGHT_GRADIENT, ""));
      builder.output(autodiff.derivative(value), accumulators.get(value));
    }
    return Roles.assign(builder.build(), forward.nodes().size(), awaited);
  }

  /** What is known of the derivative by a value at last; zeros where nothing depends on it. */
  private Value derivative(Value value) {
    Tensor cotangent = cotangents.get(value);
    return (cotangent == null ? new Tensor(builder, value).filled(0) : cotangent).value();
  }

  /**
   * A differentiation inside the body of a repeat, which shares nothing with the outer one.
   *
   * @param leaves the body's parameters
   */
  static Autodiff nested(Builder builder, Set<Value> active, Set<Value> leaves) {
    return new Autodiff(builder, active, Set.of(), leaves);
  }

  Map<Value, Tensor> cotangents() {
    return cotangents;
  }

  /** Appends the forward nodes, active repeats with what their gradients need. */
  void emitForward(List<Node> nodes, Set<Value> used) {
    for (Node node : nodes) {
      if (node.op() instanceof Repeat && node.inputs().stream().anyMatch(active::contains)) {
        RepeatGradient gradient = RepeatGradient.of(node, active, used, seeded);
        repeats.put(node, gradient);
        builder.append(gradient.forward());
      } else {
        builder.append(node);
      }
    }
  }

  /** Adds a contribution to the derivative by a value. */
  void accumulate(Value value, Tensor contribution) {
    if (!contribution.type().equals(value.type())) {
      throw new IllegalStateException(
          "the cotangent of " + value + " has type " + contribution.type());
    }
    Tensor before = cotangents.get(value);
    cotangents.put(value, before == null ? contribution : before.plus(contribution));
  }

  /** Walks nodes from last to first and sends cotangents from outputs to inputs. */
  void backward(List<Node> nodes) {
    passSumsOn(nodes);
    for (Node node : nodes.reversed()) {
      boolean reached = node.outputs().stream().anyMatch(cotangents::containsKey);
      if (reached && node.inputs().stream().anyMatch(active::contains)) {
        builder.origin(node.origin().as(Role.INPUT_GRADIENT));
        RepeatGradient repeat = repeats.get(node);
        if (repeat != null) {
          repeat.emitBackward(builder, cotangents).forEach(this::accumulateRepeat);
        } else {
          differentiate(node);
        }
      }
    }
  }

  /**
   * What a gradient is added onto goes through the annotation of its input first, so that sums are
   * made in the order that they are made in without annotations.
   */
  private void passSumsOn(List<Node> nodes) {
    for (Node node : nodes) {
      if (node.op() instanceof Shard shard && leaves.contains(node.input(0))) {
        Tensor sum = cotangents.get(node.input(0));
        if (sum != null && !cotangents.containsKey(node.output(0))) {
          builder.origin(node.origin().as(Role.INPUT_GRADIENT));
          cotangents.remove(node.input(0));
          cotangents.put(node.output(0), loosened(shard, sum));
        }
      }
    }
  }

  /** A gradient is split as its parameter is, and may be split further. */
  private static Tensor loosened(Shard shard, Tensor gradient) {
    return Tensor.one(new Shard(shard.spec().loosened()), gradient);
  }

  private void accumulateRepeat(Value value, RepeatGradient.Cotangent cotangent) {
    if (cotangent.includesEarlier()) {
      cotangents.put(value, cotangent.tensor());
    } else {
      accumulate(value, cotangent.tensor());
    }
  }

  private void differentiate(Node node) {
    if (!(node.op() instanceof Differentiable op)) {
      throw new IllegalStateException("op " + node.op().name() + " has no gradient");
    }
    if (op instanceof Shard shard && leaves.contains(node.input(0))) {
      Tensor cotangent = Objects.requireNonNull(cotangents.get(node.output(0)));
      accumulate(node.input(0), loosened(shard, cotangent));
      return;
    }
    List<Tensor> inputs = node.inputs().stream().map(v -> new Tensor(builder, v)).toList();
    List<Tensor> outputs = node.outputs().stream().map(v -> new Tensor(builder, v)).toList();
    var arriving = new ArrayList<@Nullable Tensor>();
    node.outputs().forEach(v -> arriving.add(cotangents.get(v)));
    List<Boolean> wanted = node.inputs().stream().map(active::contains).toList();
    List<@Nullable Tensor> result = op.gradient(new Adjoint(inputs, outputs, arriving, wanted));
    if (result == null) {
      differentiateExpansion((Composite) op, inputs, node);
      return;
    }
    for (int i = 0; i < result.size(); i++) {
      Tensor cotangent = result.get(i);
      if (cotangent != null && wanted.get(i)) {
        accumulate(node.input(i), cotangent);
      }
    }
  }

  private void differentiateExpansion(Composite op, List<Tensor> inputs, Node node) {
    int before = builder.size();
    List<Tensor> results = op.expand(inputs);
    List<Node> expansion = builder.nodesFrom(before);
    Set<Value> inside = activity(expansion, active);
    active.addAll(inside);
    for (int i = 0; i < results.size(); i++) {
      Tensor cotangent = cotangents.get(node.output(i));
      if (cotangent != null) {
        accumulate(results.get(i).value(), cotangent);
      }
    }
    backwardThrough(expansion);
  }

  /** Repeats that an expansion made have been appended already without what they must save. */
  private void backwardThrough(List<Node> expansion) {
    for (Node node : expansion) {
      if (node.op() instanceof Repeat && node.inputs().stream().anyMatch(active::contains)) {
        Set<Value> used = new HashSet<>(node.outputs());
        RepeatGradient gradient = RepeatGradient.of(node, active, used, Set.of());
        repeats.put(node, gradient.emitForwardAgain(builder));
      }
    }
    backward(expansion);
  }

  /** All float values of a graph that depend on the given ones, these included. */
  public static Set<Value> reached(Graph graph, Set<Value> from) {
    return activity(graph.nodes(), from);
  }

  /** All float values that depend on the given ones, these included. */
  static Set<Value> activity(List<Node> nodes, Set<Value> from) {
    var active = new HashSet<>(from);
    for (Node node : nodes) {
      if (node.op() instanceof Repeat repeat) {
        Set<Integer> outputs = RepeatGradient.activeOutputs(repeat, node.inputs(), active);
        outputs.forEach(i -> active.add(node.output(i)));
      } else if (node.inputs().stream().anyMatch(active::contains)) {
        node.outputs().stream().filter(v -> v.dtype().isFloat()).forEach(active::add);
      }
    }
    return active;
  }

  /** The line that a value comes from. */
  private static String source(Graph graph, Value value) {
    Node producer = graph.producers().get(value);
    return producer == null ? "" : producer.origin().source();
  }

  /** All values that something reads. */
  private static Set<Value> uses(Graph graph) {
    var used = new HashSet<>(graph.outputValues());
    graph.nodes().forEach(node -> used.addAll(node.inputs()));
    return used;
  }
}
