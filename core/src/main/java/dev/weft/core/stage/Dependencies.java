package dev.weft.core.stage;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Strided;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Repeat;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.ToDoubleFunction;
import org.jspecify.annotations.Nullable;

/**
 * Forward nodes, those of rounds among them, as what making values again costs: numbers instead of
 * values, one unit of work for all rounds of a node. It knows the cost of what {@link Slicing}
 * would take out.
 */
final class Dependencies {
  /**
   * Something that can be kept.
   *
   * @param value the value; of a repeat's body where {@code repeat} is given
   * @param repeat the node in whose rounds the value is made, if no output of it is the stack
   * @param bytes of all rounds
   */
  record Candidate(Value value, @Nullable Node repeat, long bytes) {}

  /** Where a value comes from: work and what it is done with. */
  private record Unit(double cost, List<Integer> inputs) {}

  private static final int FREE = -1;

  private final ToDoubleFunction<Node> cost;
  private final List<Unit> units = new ArrayList<>();

  /** The unit that makes each value; FREE for what is there. */
  private final List<Integer> producers = new ArrayList<>();

  private final Map<Value, Integer> top = new HashMap<>();
  private final List<Candidate> candidates = new ArrayList<>();

  /** The number of each candidate's value: that in the rounds, where there are any. */
  private final List<Integer> numbers = new ArrayList<>();

  private final List<Integer> wanted = new ArrayList<>();
  private final Set<Value> needed;

  /** Of each unit what it reads, and of each value what makes it, as units and producers say. */
  private final int[][] inputs;

  private final int[] made;

  /**
   * The dependencies of some values.
   *
   * @param nodes in order
   * @param given what need not be made
   */
  Dependencies(List<Node> nodes, Set<Value> given, Set<Value> wanted, ToDoubleFunction<Node> cost) {
    this.cost = cost;
    this.needed = wanted;
    given.forEach(value -> top.put(value, add(FREE)));
    for (Node node : nodes) {
      node(node, top, 1, 0);
    }
    wanted.forEach(value -> this.wanted.add(number(top, value)));
    this.inputs = units.stream().map(u -> array(u.inputs())).toArray(int[][]::new);
    this.made = array(producers);
    boolean[] reached = reached(new boolean[producers.size()]);
    for (int i = candidates.size() - 1; i >= 0; i--) {
      int producer = producers.get(numbers.get(i));
      if (producer == FREE || !reached[producer]) {
        candidates.remove(i);
        numbers.remove(i);
      }
    }
  }

  private static int[] array(List<Integer> numbers) {
    return numbers.stream().mapToInt(i -> i).toArray();
  }

  List<Candidate> candidates() {
    return candidates;
  }

  private static int number(Map<Value, Integer> known, Value value) {
    return Objects.requireNonNull(known.get(value), value::toString);
  }

  private int add(int producer) {
    producers.add(producer);
    return producers.size() - 1;
  }

  private int unit(double work, List<Integer> inputs) {
    units.add(new Unit(work, inputs));
    return units.size() - 1;
  }

  private void candidate(Value value, @Nullable Node repeat, long rounds, int number) {
    if (!numbers.contains(number)) {
      candidates.add(new Candidate(value, repeat, value.type().bytes() * rounds));
      numbers.add(number);
    }
  }

  private void node(Node node, Map<Value, Integer> known, double times, int depth) {
    List<Integer> inputs = node.inputs().stream().map(v -> number(known, v)).toList();
    if (node.op() instanceof Repeat repeat) {
      repeat(node, repeat, inputs, known, times, depth);
      return;
    }
    int unit = unit(cost.applyAsDouble(node) * times, inputs);
    for (Value output : node.outputs()) {
      int number = add(unit);
      known.put(output, number);
      if (depth == 0 && (!isView(node) || needed.contains(output))) {
        candidate(output, null, 1, number);
      }
    }
  }

  /** To keep a view would be to keep another copy of what it shows. */
  private static boolean isView(Node node) {
    Op op = node.op();
    return node.inputs().isEmpty()
        || (node.inputs().size() == 1 && op.view(Strided.dense(node.input(0).shape())).isPresent());
  }

  private void repeat(
      Node node,
      Repeat repeat,
      List<Integer> operands,
      Map<Value, Integer> known,
      double times,
      int depth) {
    Graph body = repeat.body();
    List<Value> arguments = body.inputValues();
    List<Value> results = body.outputValues();
    Map<Value, Integer> inside = new HashMap<>();
    inside.put(arguments.getFirst(), add(FREE));
    // What a round finds waits for what the one before it made: known once the body is.
    var loops = new ArrayList<List<Integer>>();
    for (int i = 0; i < operands.size(); i++) {
      var needs = new ArrayList<>(List.of(operands.get(i)));
      loops.add(needs);
      inside.put(arguments.get(i + 1), add(unit(0, needs)));
    }
    for (Node inner : body.nodes()) {
      node(inner, inside, times * repeat.count(), depth + 1);
    }
    for (int i = 0; i < repeat.carried(); i++) {
      loops.get(i).add(number(inside, results.get(i)));
    }
    for (int i = 0; i < results.size(); i++) {
      int result = number(inside, results.get(i));
      boolean carried = i < repeat.carried();
      int output = add(unit(0, carried ? List.of(result, operands.get(i)) : List.of(result)));
      known.put(node.output(i), output);
      if (depth == 0) {
        if (carried) {
          candidate(node.output(i), null, 1, output);
        } else if (!isSliceOrSame(repeat, arguments, results.get(i))) {
          candidate(node.output(i), null, 1, result);
        } else if (needed.contains(node.output(i))) {
          candidate(node.output(i), null, 1, output);
        }
      }
    }
    if (depth == 0) {
      for (int i = 0; i < repeat.carried(); i++) {
        Value argument = arguments.get(i + 1);
        candidate(argument, node, repeat.count(), number(inside, argument));
      }
      for (Node inner : body.nodes()) {
        if (!isView(inner)) {
          for (Value value : inner.outputs()) {
            candidate(value, node, repeat.count(), number(inside, value));
          }
        }
      }
    }
  }

  private static boolean isSliceOrSame(Repeat repeat, List<Value> arguments, Value result) {
    int place = arguments.indexOf(result);
    return place == 0 || place > repeat.carried();
  }

  /**
   * The cost of making what is wanted.
   *
   * @param kept by candidate
   */
  double cost(boolean[] kept) {
    boolean[] there = new boolean[producers.size()];
    for (int i = 0; i < kept.length; i++) {
      there[numbers.get(i)] = kept[i];
    }
    boolean[] reached = reached(there);
    double sum = 0;
    for (int i = 0; i < reached.length; i++) {
      if (reached[i]) {
        sum += units.get(i).cost();
      }
    }
    return sum;
  }

  /** The units that must run. */
  private boolean[] reached(boolean[] there) {
    boolean[] reached = new boolean[units.size()];
    int[] stack = new int[units.size()];
    int size = 0;
    for (int value : wanted) {
      size = reach(value, there, reached, stack, size);
    }
    while (size > 0) {
      for (int input : inputs[stack[--size]]) {
        size = reach(input, there, reached, stack, size);
      }
    }
    return reached;
  }

  private int reach(int value, boolean[] there, boolean[] reached, int[] stack, int size) {
    int unit = made[value];
    if (there[value] || unit == FREE || reached[unit]) {
      return size;
    }
    reached[unit] = true;
    stack[size] = unit;
    return size + 1;
  }

  /**
   * What to keep if memory has a price: the least cost of work and bytes together. To keep or to
   * make again what is needed is a cut of a network.
   *
   * @param price of a byte, in units of cost
   */
  boolean[] keptAt(double price) {
    double total = Math.max(Double.MIN_NORMAL, cost(new boolean[candidates.size()]));
    var network = new MinimumCut();
    int source = network.vertex();
    int sink = network.vertex();
    int[] runs = new int[units.size()];
    for (int i = 0; i < runs.length; i++) {
      runs[i] = network.vertex();
      network.edge(runs[i], sink, units.get(i).cost() / total);
    }
    int[] needs = new int[producers.size()];
    double[] keep = new double[producers.size()];
    java.util.Arrays.fill(keep, Double.POSITIVE_INFINITY);
    for (int i = 0; i < candidates.size(); i++) {
      keep[numbers.get(i)] = candidates.get(i).bytes() * price / total;
    }
    for (int i = 0; i < needs.length; i++) {
      needs[i] = network.vertex();
      if (producers.get(i) != FREE) {
        network.edge(needs[i], runs[producers.get(i)], keep[i]);
      }
    }
    for (int value : wanted) {
      network.edge(source, needs[value], Double.POSITIVE_INFINITY);
    }
    for (int i = 0; i < runs.length; i++) {
      for (int input : units.get(i).inputs()) {
        network.edge(runs[i], needs[input], Double.POSITIVE_INFINITY);
      }
    }
    boolean[] side = network.reachable(source, sink);
    boolean[] kept = new boolean[candidates.size()];
    for (int i = 0; i < kept.length; i++) {
      int value = numbers.get(i);
      kept[i] = side[needs[value]] && !side[runs[producers.get(value)]];
    }
    return kept;
  }
}
