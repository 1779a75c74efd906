package dev.weft.core.stage;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Origin;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.graph.Verifier;
import dev.weft.core.op.Add;
import dev.weft.core.op.Concat;
import dev.weft.core.op.Constant;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Slice;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * A graph whose repeats are split between rounds: each becomes several, one behind the other. They
 * take rows of the stacked values, and count rounds as the whole did, so that nothing changes but
 * where it can be cut. All other nodes stay the objects that they are.
 *
 * @param graph computes the same, bit by bit
 * @param segments what each repeat that is part of another one stands for
 * @param rows the slices of stacked values that parts take
 * @param stacks what puts together the stacked results of parts for others than parts
 */
record RepeatSplit(Graph graph, Map<Node, Unit> segments, Map<Node, Rows> rows, Set<Node> stacks) {
  /** Rows of a stacked value, from one (inclusive) to another (exclusive). */
  record Rows(int from, int to) {
    boolean meets(Rows other) {
      return from < other.to && other.from < to;
    }
  }

  /**
   * Splits repeats.
   *
   * @param starts for each repeat the rounds, in the order in which they run, that parts begin
   *     with; the first is 0
   */
  static RepeatSplit of(Graph forward, Map<Node, List<Integer>> starts) {
    return new Splitter(forward).split(starts);
  }

  private static final class Splitter {
    /** A part of a stacked result. */
    private record Part(Rows rows, Value value) {}

    private final Graph forward;
    private final Set<String> names = new HashSet<>();
    private final List<Node> nodes = new ArrayList<>();
    private final Map<Node, Unit> segments = new HashMap<>();
    private final Map<Node, Rows> rows = new HashMap<>();
    private final Set<Node> stacks = new HashSet<>();
    private final Map<Value, List<Part>> parts = new HashMap<>();
    private final Map<Value, Node> producers;
    private final Map<Value, Map<Rows, Value>> taken = new HashMap<>();
    private final Set<Value> assembled = new HashSet<>();

    Splitter(Graph forward) {
      this.forward = forward;
      this.producers = forward.producers();
      forward.inputValues().forEach(v -> names.add(v.name()));
      forward.nodes().forEach(n -> n.outputs().forEach(v -> names.add(v.name())));
    }

    RepeatSplit split(Map<Node, List<Integer>> starts) {
      for (Node node : forward.nodes()) {
        List<Integer> firsts = starts.getOrDefault(node, List.of(0));
        if (node.op() instanceof Repeat repeat) {
          segments(node, repeat, firsts);
        } else {
          node.inputs().forEach(this::whole);
          nodes.add(node);
        }
      }
      forward.outputValues().forEach(this::whole);
      Graph graph = new Graph(forward.name(), forward.inputs(), nodes, forward.outputs());
      return new RepeatSplit(Verifier.verify("splitting repeats", graph), segments, rows, stacks);
    }

    private void segments(Node node, Repeat repeat, List<Integer> firsts) {
      if (firsts.size() == 1) {
        node.inputs().forEach(this::whole);
        segments.put(node, new Unit(node, 0));
        nodes.add(node);
        return;
      }
      List<Value> carried = node.inputs().subList(0, repeat.carried());
      for (int i = 0; i < firsts.size(); i++) {
        int first = firsts.get(i);
        int end = i + 1 < firsts.size() ? firsts.get(i + 1) : repeat.count();
        boolean last = end == repeat.count();
        Rows range =
            repeat.reverse()
                ? new Rows(repeat.count() - end, repeat.count() - first)
                : new Rows(first, end);
        var inputs = new ArrayList<Value>();
        for (int input = 0; input < node.inputs().size(); input++) {
          if (input < repeat.carried()) {
            inputs.add(i == 0 ? whole(carried.get(input)) : carried.get(input));
          } else if (repeat.isStacked(input)) {
            inputs.add(slice(node.input(input), range));
          } else {
            inputs.add(whole(node.input(input)));
          }
        }
        var outputs = new ArrayList<Value>();
        for (int output = 0; output < node.outputs().size(); output++) {
          Value original = node.output(output);
          if (output < repeat.carried()) {
            outputs.add(
                last ? original : new Value(unique(original.name() + "." + end), original.type()));
          } else {
            outputs.add(part(original, range));
          }
        }
        Graph body = countedFrom(range.from, repeat.body(), node);
        Node segment =
            new Node(
                new Repeat(body, end - first, repeat.carried(), repeat.stacked(), repeat.reverse()),
                inputs,
                outputs,
                node.origin());
        segments.put(segment, new Unit(node, first));
        nodes.add(segment);
        carried = outputs.subList(0, repeat.carried());
      }
    }

    private Value part(Value stacked, Rows range) {
      Value value = new Value(rowsName(stacked, range), rowsType(stacked, range));
      List<Part> known = parts.computeIfAbsent(stacked, _ -> new ArrayList<>());
      known.add(new Part(range, value));
      known.sort((a, b) -> Integer.compare(a.rows.from, b.rows.from));
      return value;
    }

    /** The value, put together if it is made in parts. */
    private Value whole(Value value) {
      List<Part> known = parts.get(value);
      if (known != null && assembled.add(value)) {
        stack(known.stream().map(Part::value).toList(), value);
      }
      return value;
    }

    private void stack(List<Value> values, Value whole) {
      Node node = new Node(new Concat(0), values, List.of(whole), origin(whole));
      stacks.add(node);
      nodes.add(node);
    }

    /** Rows of a stacked value. */
    private Value slice(Value stacked, Rows range) {
      List<Part> known = parts.get(stacked);
      Value before = taken.getOrDefault(stacked, Map.of()).get(range);
      if (before != null) {
        return before;
      }
      Value result;
      if (known == null) {
        result = cut(stacked, range, range);
      } else {
        var pieces = new ArrayList<Value>();
        for (Part part : known) {
          if (part.rows.meets(range)) {
            Rows common =
                new Rows(Math.max(part.rows.from, range.from), Math.min(part.rows.to, range.to));
            pieces.add(
                common.equals(part.rows)
                    ? part.value
                    : cut(
                        part.value,
                        new Rows(common.from - part.rows.from, common.to - part.rows.from),
                        common));
          }
        }
        result = pieces.getFirst();
        if (pieces.size() > 1) {
          result = new Value(rowsName(stacked, range), rowsType(stacked, range));
          stack(pieces, result);
        }
      }
      put(stacked, range, result);
      return result;
    }

    private void put(Value stacked, Rows range, Value value) {
      taken.computeIfAbsent(stacked, _ -> new HashMap<>()).put(range, value);
    }

    private Value cut(Value value, Rows range, Rows named) {
      Value result = new Value(rowsName(value, named), rowsType(value, range));
      Node node =
          new Node(rows(value.type(), range), List.of(value), List.of(result), origin(value));
      rows.put(node, range);
      nodes.add(node);
      return result;
    }

    private Origin origin(Value value) {
      @Nullable Node producer = producers.get(value);
      return producer != null ? producer.origin() : new Origin(value.name(), Role.FORWARD, "");
    }

    private String rowsName(Value value, Rows range) {
      return unique(value.name() + "." + range.from + "_" + range.to);
    }

    private String unique(String wanted) {
      String name = wanted;
      for (int number = 1; !names.add(name); number++) {
        name = wanted + "_" + number;
      }
      return name;
    }
  }

  static TensorType rowsType(Value stacked, Rows range) {
    return stacked.type().with(stacked.shape().with(0, range.to - range.from));
  }

  /** Takes rows. */
  static Op rows(TensorType type, Rows range) {
    var starts = new ArrayList<>(Collections.nCopies(type.rank(), 0L));
    var limits = new ArrayList<Long>();
    for (long size : type.shape().sizes()) {
      limits.add(size);
    }
    starts.set(0, (long) range.from);
    limits.set(0, (long) range.to);
    return new Slice(starts, limits, Collections.nCopies(type.rank(), 1L));
  }

  /** The body of rounds that are counted from a number that is not 0. */
  private static Graph countedFrom(int first, Graph body, Node repeat) {
    Value round = body.inputValues().getFirst();
    boolean counts =
        body.outputValues().contains(round)
            || body.nodes().stream().anyMatch(n -> n.inputs().contains(round));
    if (first == 0 || !counts) {
      return body;
    }
    Set<String> names = new HashSet<>();
    body.inputValues().forEach(v -> names.add(v.name()));
    body.nodes().forEach(n -> n.outputs().forEach(v -> names.add(v.name())));
    TensorType type = TensorType.scalar(DataType.I64);
    Value own = new Value(free(round.name() + ".own", names), type);
    Value offset = new Value(free(round.name() + ".first", names), type);
    var inputs = new ArrayList<>(body.inputs());
    inputs.set(0, new Graph.Input(own, body.inputs().getFirst().kind()));
    var nodes = new ArrayList<Node>();
    nodes.add(
        new Node(
            new Constant(Literal.scalar(DataType.I64, first)),
            List.of(),
            List.of(offset),
            repeat.origin()));
    nodes.add(new Node(new Add(), List.of(own, offset), List.of(round), repeat.origin()));
    nodes.addAll(body.nodes());
    return new Graph(body.name(), inputs, nodes, body.outputs());
  }

  private static String free(String wanted, Set<String> names) {
    String name = wanted;
    for (int number = 1; !names.add(name); number++) {
      name = wanted + "_" + number;
    }
    return name;
  }
}
