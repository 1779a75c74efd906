package dev.weft.core.grad;

import dev.weft.core.graph.Builder;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Tensor;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * The gradient of a repeat: a forward repeat that also returns, stacked, what the backward needs of
 * each round, and a repeat of the backward rounds in the other direction. Slices, unchanging values
 * and what follows from these cheaply (views, masks, casts of weights) are not saved but made
 * again.
 */
final class RepeatGradient {
  /**
   * The derivative by an operand.
   *
   * @param includesEarlier whether the cotangent known before is contained in it
   */
  record Cotangent(Tensor tensor, boolean includesEarlier) {}

  private final Node node;
  private final Repeat repeat;
  private final Graph body;
  private final TreeSet<Integer> activeInputs = new TreeSet<>();
  private final List<Integer> cotangentOutputs = new ArrayList<>();
  private final Set<Integer> seededInputs = new TreeSet<>();
  private Node forward;
  private Repeat backward;
  private final List<Value> residuals = new ArrayList<>();
  private final List<Integer> slicesRead = new ArrayList<>();
  private final List<Integer> unchangingRead = new ArrayList<>();

  @SuppressWarnings("NullAway.Init") // plan() sets forward and backward
  private RepeatGradient(Node node, Set<Value> active, Set<Value> used, Set<Value> seeded) {
    this.node = node;
    this.repeat = (Repeat) node.op();
    this.body = repeat.body();
    Set<Integer> activeOutputs = activeOutputs(repeat, node.inputs(), active);
    for (int i = 0; i < node.inputs().size(); i++) {
      boolean carriedActive = i < repeat.carried() && activeOutputs.contains(i);
      if (carriedActive || active.contains(node.input(i))) {
        activeInputs.add(i);
      }
      if (repeat.isStacked(i) && seeded.contains(node.input(i))) {
        seededInputs.add(i);
      }
    }
    for (int output : activeOutputs.stream().sorted().toList()) {
      if (output < repeat.carried() || used.contains(node.output(output))) {
        cotangentOutputs.add(output);
      }
    }
    plan();
  }

  static RepeatGradient of(Node node, Set<Value> active, Set<Value> used, Set<Value> seeded) {
    return new RepeatGradient(node, active, used, seeded);
  }

  /** The forward repeat: the outputs of the plain one, then the residuals. */
  Node forward() {
    return forward;
  }

  /** For a repeat that is in the graph already: another with the residuals, appended now. */
  RepeatGradient emitForwardAgain(Builder builder) {
    List<Value> outputs = builder.add(forward.op(), forward.inputs());
    forward = new Node(forward.op(), forward.inputs(), outputs, forward.origin());
    return this;
  }

  /**
   * Which outputs depend on active operands; what is carried may become active in a later round.
   */
  static Set<Integer> activeOutputs(Repeat repeat, List<Value> operands, Set<Value> active) {
    List<Value> arguments = repeat.body().inputValues();
    Set<Value> inside = new HashSet<>();
    for (int i = 0; i < operands.size(); i++) {
      if (active.contains(operands.get(i))) {
        inside.add(arguments.get(i + 1));
      }
    }
    List<Value> results = repeat.body().outputValues();
    while (true) {
      Set<Value> reached = Autodiff.activity(repeat.body().nodes(), inside);
      boolean grown = false;
      for (int i = 0; i < repeat.carried(); i++) {
        if (reached.contains(results.get(i))) {
          grown |= inside.add(arguments.get(i + 1));
        }
      }
      if (!grown) {
        Set<Integer> outputs = new HashSet<>();
        for (int i = 0; i < results.size(); i++) {
          if (reached.contains(results.get(i))
              || (i < repeat.carried() && inside.contains(arguments.get(i + 1)))) {
            outputs.add(i);
          }
        }
        return outputs;
      }
    }
  }

  /** Differentiates one round and splits it into what runs forward and what runs backward. */
  private void plan() {
    var round = new Builder(body.name() + "_gradient");
    body.inputs().forEach(round::append);
    List<Value> arguments = body.inputValues();
    List<Value> results = body.outputValues();
    Set<Value> inside = new HashSet<>();
    activeInputs.forEach(i -> inside.add(arguments.get(i + 1)));
    Set<Value> leaves = Set.copyOf(body.inputs(Graph.Kind.PARAMETER));
    var autodiff = Autodiff.nested(round, Autodiff.activity(body.nodes(), inside), leaves);
    Set<Value> used = new HashSet<>(results);
    body.nodes().forEach(n -> used.addAll(n.inputs()));
    autodiff.emitForward(body.nodes(), used);
    List<Node> forwardNodes = round.nodes();
    round.prefix("grad.");

    var arriving = new LinkedHashMap<Integer, Value>();
    for (int output : cotangentOutputs) {
      Value result = results.get(output);
      arriving.put(output, round.input(result.name() + ".grad", result.type(), Graph.Kind.DATA));
    }
    var sums = new LinkedHashMap<Integer, Value>();
    for (int input : activeInputs) {
      Value argument = arguments.get(input + 1);
      boolean unchanging = input >= repeat.carried() + repeat.stacked();
      if (unchanging || seededInputs.contains(input)) {
        Value sum = round.input(argument.name() + ".sum", argument.type(), Graph.Kind.DATA);
        sums.put(input, sum);
        autodiff.cotangents().put(argument, new Tensor(round, sum));
      }
    }
    round.origin(node.origin().as(Role.INPUT_GRADIENT));
    arriving.forEach(
        (output, value) -> autodiff.accumulate(results.get(output), new Tensor(round, value)));
    autodiff.backward(body.nodes());

    var departing = new LinkedHashMap<Integer, Value>();
    for (int input : activeInputs) {
      Value argument = arguments.get(input + 1);
      round.origin(node.origin().as(Role.INPUT_GRADIENT));
      Tensor cotangent = autodiff.cotangents().get(argument);
      departing.put(
          input, (cotangent == null ? new Tensor(round, argument).filled(0) : cotangent).value());
    }
    Graph whole = Roles.assign(withOutputs(round, departing), forwardNodes.size(), Set.of());
    List<Node> backwardNodes =
        new ArrayList<>(whole.nodes().subList(forwardNodes.size(), whole.nodes().size()));
    split(forwardNodes, backwardNodes, arriving, sums, departing);
  }

  private static Graph withOutputs(Builder round, Map<Integer, Value> departing) {
    Graph graph = round.build();
    return new Graph(
        graph.name(),
        graph.inputs(),
        graph.nodes(),
        departing.values().stream().map(v -> new Graph.Output(v, null)).toList());
  }

  private void split(
      List<Node> forwardNodes,
      List<Node> backwardNodes,
      Map<Integer, Value> arriving,
      Map<Integer, Value> sums,
      Map<Integer, Value> departing) {
    List<Value> arguments = body.inputValues();
    Set<Value> free = new HashSet<>();
    free.add(arguments.getFirst());
    arguments.subList(1 + repeat.carried(), arguments.size()).forEach(free::add);
    Set<Value> needed = new LinkedHashSet<>();
    backwardNodes.forEach(n -> needed.addAll(n.inputs()));
    needed.addAll(departing.values());
    Set<Value> carriedIn = new HashSet<>(arguments.subList(1, 1 + repeat.carried()));
    Residuals parts = Residuals.between(forwardNodes, carriedIn, needed, free);
    residuals.addAll(parts.saved());

    var nodes = new ArrayList<Node>();
    for (Node forwardNode : forwardNodes) {
      if (parts.again().contains(forwardNode)) {
        nodes.add(
            new Node(
                forwardNode.op(),
                forwardNode.inputs(),
                forwardNode.outputs(),
                forwardNode.origin().as(Role.RECOMPUTE)));
      }
    }
    nodes.addAll(backwardNodes);
    Set<Value> read = new HashSet<>(departing.values());
    nodes.forEach(n -> read.addAll(n.inputs()));
    assemble(forwardNodes, nodes, read, arriving, sums, departing);
  }

  private void assemble(
      List<Node> forwardNodes,
      List<Node> nodes,
      Set<Value> read,
      Map<Integer, Value> arriving,
      Map<Integer, Value> sums,
      Map<Integer, Value> departing) {
    List<Value> arguments = body.inputValues();
    int firstUnchanging = repeat.carried() + repeat.stacked();
    var inputs = new ArrayList<Value>();
    var outputs = new ArrayList<Value>();
    inputs.add(arguments.getFirst());
    // Carried: cotangents of what the forward carries, then sums over rounds for unchanging values.
    int carried = 0;
    for (int input : activeInputs) {
      if (input < repeat.carried()) {
        inputs.add(arriving.get(input));
        outputs.add(departing.get(input));
        carried++;
      }
    }
    for (int input : activeInputs) {
      if (input >= firstUnchanging) {
        inputs.add(sums.get(input));
        outputs.add(departing.get(input));
        carried++;
      }
    }
    // Stacked: residuals, slices, cotangents of stacked outputs, earlier sums.
    inputs.addAll(residuals);
    for (int i = repeat.carried(); i < firstUnchanging; i++) {
      if (read.contains(arguments.get(i + 1))) {
        slicesRead.add(i);
        inputs.add(arguments.get(i + 1));
      }
    }
    arriving.forEach(
        (output, value) -> {
          if (output >= repeat.carried()) {
            inputs.add(value);
          }
        });
    for (int input : seededInputs) {
      if (activeInputs.contains(input)) {
        inputs.add(sums.get(input));
      }
    }
    for (int input : activeInputs) {
      if (input >= repeat.carried() && input < firstUnchanging) {
        outputs.add(departing.get(input));
      }
    }
    int stacked = inputs.size() - 1 - carried;
    for (int i = firstUnchanging; i + 1 < arguments.size(); i++) {
      if (read.contains(arguments.get(i + 1))) {
        unchangingRead.add(i);
        inputs.add(arguments.get(i + 1));
      }
    }
    Graph backwardBody =
        new Graph(
            body.name() + "_gradient",
            inputs.stream().map(v -> new Graph.Input(v, Graph.Kind.DATA)).toList(),
            nodes,
            outputs.stream().map(v -> new Graph.Output(v, null)).toList());
    backward = new Repeat(backwardBody, repeat.count(), carried, stacked, !repeat.reverse());

    var forwardOutputs = new ArrayList<>(body.outputs());
    residuals.forEach(v -> forwardOutputs.add(new Graph.Output(v, null)));
    Repeat saving =
        repeat.withBody(new Graph(body.name(), body.inputs(), forwardNodes, forwardOutputs));
    var results = new ArrayList<>(node.outputs());
    String prefix = node.output(0).name();
    for (Value residual : residuals) {
      TensorType type = residual.type();
      results.add(
          new Value(
              prefix + ".saved." + residual.name(),
              type.with(type.shape().insert(0, repeat.count()))));
    }
    forward = new Node(saving, node.inputs(), results, node.origin());
  }

  /** Appends the backward repeat. Gives the derivatives by the operands. */
  Map<Value, Cotangent> emitBackward(Builder builder, Map<Value, Tensor> cotangents) {
    int firstUnchanging = repeat.carried() + repeat.stacked();
    var operands = new ArrayList<Value>();
    for (int input : activeInputs) {
      if (input < repeat.carried()) {
        operands.add(arriving(builder, cotangents, node.output(input)));
      }
    }
    Set<Value> included = new HashSet<>();
    for (int input : activeInputs) {
      if (input >= firstUnchanging) {
        Value operand = node.input(input);
        boolean first = included.add(operand);
        Tensor earlier = first ? cotangents.get(operand) : null;
        operands.add((earlier != null ? earlier : new Tensor(builder, operand).filled(0)).value());
      }
    }
    for (int i = 0; i < residuals.size(); i++) {
      operands.add(forward.output(body.outputs().size() + i));
    }
    slicesRead.forEach(i -> operands.add(node.input(i)));
    for (int output : cotangentOutputs) {
      if (output >= repeat.carried()) {
        operands.add(arriving(builder, cotangents, node.output(output)));
      }
    }
    for (int input : seededInputs) {
      if (activeInputs.contains(input)) {
        // An operand given twice takes its earlier derivative along only once.
        Value operand = node.input(input);
        Tensor earlier = included.add(operand) ? cotangents.get(operand) : null;
        operands.add((earlier != null ? earlier : new Tensor(builder, operand).filled(0)).value());
      }
    }
    unchangingRead.forEach(i -> operands.add(node.input(i)));
    List<Value> results = builder.add(backward, operands);

    var derivatives = new LinkedHashMap<Value, Cotangent>();
    int position = 0;
    for (int input : activeInputs) {
      if (input < repeat.carried()) {
        put(derivatives, builder, node.input(input), results.get(position++), false);
      }
    }
    for (int input : activeInputs) {
      if (input >= firstUnchanging) {
        put(derivatives, builder, node.input(input), results.get(position++), true);
      }
    }
    for (int input : activeInputs) {
      if (input >= repeat.carried() && input < firstUnchanging) {
        boolean seeded = seededInputs.contains(input);
        put(derivatives, builder, node.input(input), results.get(position++), seeded);
      }
    }
    return derivatives;
  }

  /** One operand may be given in several places: their derivatives add up. */
  private static void put(
      Map<Value, Cotangent> derivatives,
      Builder builder,
      Value operand,
      Value result,
      boolean includesEarlier) {
    Tensor tensor = new Tensor(builder, result);
    Cotangent before = derivatives.get(operand);
    derivatives.put(
        operand,
        before == null
            ? new Cotangent(tensor, includesEarlier)
            : new Cotangent(
                before.tensor().plus(tensor), before.includesEarlier() || includesEarlier));
  }

  private static Value arriving(Builder builder, Map<Value, Tensor> cotangents, Value output) {
    Tensor cotangent = cotangents.get(output);
    return (cotangent != null ? cotangent : new Tensor(builder, output).filled(0)).value();
  }
}
