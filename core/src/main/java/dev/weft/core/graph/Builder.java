package dev.weft.core.graph;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** Makes a graph node by node. Types are inferred, names made unique, origins stamped. */
public final class Builder {
  private final String name;
  private final List<Graph.Input> inputs = new ArrayList<>();
  private final List<Node> nodes = new ArrayList<>();
  private final List<Graph.Output> outputs = new ArrayList<>();
  private final Set<String> names = new HashSet<>();
  private final Map<String, Integer> counters = new HashMap<>();
  private final Supplier<String> source;
  private final @Nullable Builder parent;
  private final Set<Value> known = new HashSet<>();
  private final Map<Value, Value> captures = new LinkedHashMap<>();
  private String prefix = "";
  private @Nullable Origin origin;

  public Builder(String name) {
    this(name, () -> "");
  }

  /**
   * A builder that asks {@code source} for the line of the model behind each new forward node.
   *
   * @param source gives {@code File.java:12}, or the empty text
   */
  public Builder(String name, Supplier<String> source) {
    this(name, source, null);
  }

  private Builder(String name, Supplier<String> source, @Nullable Builder parent) {
    this.name = name;
    this.source = source;
    this.parent = parent;
  }

  /** Declares an input. The name is kept as it is where it is free. */
  public Value input(String inputName, TensorType type, Graph.Kind kind) {
    Value value = new Value(unique(inputName), type);
    inputs.add(new Graph.Input(value, kind));
    known.add(value);
    return value;
  }

  /** Applies an op and gives its outputs. */
  public List<Value> add(Op op, List<Value> arguments) {
    return add(op, arguments, List.of());
  }

  /** Applies an op; outputs take the given names where these are free. */
  public List<Value> add(Op op, List<Value> arguments, List<String> wantedNames) {
    List<TensorType> types = op.infer(arguments.stream().map(Value::type).toList());
    List<Value> resolved = arguments.stream().map(this::resolve).toList();
    var results = new ArrayList<Value>(types.size());
    for (int i = 0; i < types.size(); i++) {
      String base =
          i < wantedNames.size()
              ? wantedNames.get(i)
              : prefix + op.name() + (i == 0 ? "" : "." + i);
      results.add(new Value(unique(base), types.get(i)));
    }
    Origin stamped = origin;
    if (stamped == null) {
      stamped = new Origin(results.getFirst().name(), Role.FORWARD, source.get());
    }
    nodes.add(new Node(op, resolved, results, stamped));
    known.addAll(results);
    return results;
  }

  /** Appends a node as it is. Its values' names must be free. */
  public void append(Node node) {
    for (Value value : node.outputs()) {
      if (!names.add(value.name())) {
        throw new IllegalStateException("two values named %" + value.name() + " in " + name);
      }
    }
    nodes.add(node);
    known.addAll(node.outputs());
  }

  /** Takes over another graph's input as it is. */
  public void append(Graph.Input input) {
    if (!names.add(input.value().name())) {
      throw new IllegalStateException("two values named %" + input.value().name() + " in " + name);
    }
    inputs.add(input);
    known.add(input.value());
  }

  public void output(Value value) {
    outputs.add(new Graph.Output(value, null));
  }

  /** An output that takes over the memory of an input. */
  public void output(Value value, @Nullable Value donated) {
    outputs.add(new Graph.Output(value, donated));
  }

  /** The line of the model that new nodes come from; empty where there is none. */
  public String source() {
    return origin == null ? source.get() : origin.source();
  }

  /** What has been added so far. */
  public List<Node> nodes() {
    return List.copyOf(nodes);
  }

  /** How many nodes have been added so far. */
  public int size() {
    return nodes.size();
  }

  /** The nodes added since there were {@code from}. */
  public List<Node> nodesFrom(int from) {
    return List.copyOf(nodes.subList(from, nodes.size()));
  }

  public Graph build() {
    return new Graph(name, inputs, nodes, outputs);
  }

  /**
   * The value as this graph knows it: itself where it was made here; for a value of an enclosing
   * graph the input that stands for it, made on first use.
   *
   * @throws IllegalStateException if the value is of no enclosing graph
   */
  public Value resolve(Value value) {
    if (known.contains(value)) {
      return value;
    }
    Value captured = captures.get(value);
    if (captured != null) {
      return captured;
    }
    if (parent == null) {
      throw new IllegalStateException(value + " is of another graph than " + name);
    }
    parent.resolve(value);
    Value inner = new Value(unique(value.name()), value.type());
    known.add(inner);
    captures.put(value, inner);
    return inner;
  }

  /** The values of enclosing graphs that were used here, each with the value standing for it. */
  public Map<Value, Value> captures() {
    return java.util.Collections.unmodifiableMap(captures);
  }

  /** How many graphs enclose this one. */
  public int depth() {
    return parent == null ? 0 : parent.depth() + 1;
  }

  /**
   * A builder for a graph nested in this one: it finds sources as this one does and may use this
   * one's values.
   */
  public Builder nested(String nestedName) {
    Builder nested = new Builder(nestedName, source, this);
    nested.prefix = prefix;
    nested.origin = origin;
    return nested;
  }

  /** Puts a prefix before the names of new values; gives the prefix before. */
  public String prefix(String newPrefix) {
    String before = prefix;
    prefix = newPrefix;
    return before;
  }

  /**
   * Stamps new nodes with an origin; null makes each node its own forward node again.
   *
   * @return the origin before
   */
  public @Nullable Origin origin(@Nullable Origin newOrigin) {
    Origin before = origin;
    origin = newOrigin;
    return before;
  }

  /** A name that is free, taken now: the wanted one, or that with a number behind. */
  private String unique(String wanted) {
    if (names.add(wanted)) {
      return wanted;
    }
    int number = counters.getOrDefault(wanted, 0);
    String candidate;
    do {
      number++;
      candidate = wanted + "_" + number;
    } while (!names.add(candidate));
    counters.put(wanted, number);
    return candidate;
  }
}
