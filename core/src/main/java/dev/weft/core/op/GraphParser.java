package dev.weft.core.op;

import dev.weft.core.cluster.Suggestion;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Origin;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Reads the text form of graphs. */
final class GraphParser {
  /** Deep enough for any model, shallow enough for any stack. */
  private static final int DEEPEST = 32;

  private final TextScanner scanner;
  private final OpTable table;
  private final Map<String, Macro> macros;
  private final AttributeCodec attributes;
  private final String file;
  private int depth;

  GraphParser(String text, OpTable table, Map<String, Macro> macros, String file) {
    this(new TextScanner(text), table, macros, file);
  }

  /** Reads graphs where a scanner is in a text. */
  GraphParser(TextScanner scanner, OpTable table, Map<String, Macro> macros, String file) {
    this.file = file;
    this.scanner = scanner;
    this.table = table;
    this.macros = macros;
    this.attributes = new AttributeCodec(scanner, this::graph);
  }

  Graph parse() {
    Graph graph = graph();
    if (!scanner.atEnd()) {
      throw scanner.expected("the end of the text after the graph");
    }
    return graph;
  }

  /** The graph that begins here. */
  Graph graph() {
    if (!scanner.atWord("graph")) {
      throw scanner.expected("'graph'");
    }
    if (depth == DEEPEST) {
      throw scanner.failure(
          scanner.offset(), "graphs may stand in one another at most " + DEEPEST + " deep");
    }
    scanner.takeWord("graph");
    depth++;
    Graph graph = new Body(scanner.wordOrQuoted("the name of the graph")).read();
    depth--;
    return graph;
  }

  /** How attributes are read here. */
  AttributeCodec attributes() {
    return attributes;
  }

  /** A sharding, where one stands here. */
  private Optional<Shard> sharding(Value value) {
    if (!scanner.at('[')) {
      return Optional.empty();
    }
    int offset = scanner.offset();
    try {
      Shard shard = new Shard(attributes.spec());
      Shard.requireRank(shard.spec(), value.type());
      return Optional.of(shard);
    } catch (GraphTextException e) {
      throw e;
    } catch (UserException e) {
      throw scanner.failure(offset, value + ": " + e.getMessage(), e);
    }
  }

  /** Where a statement stands, for a text from a file. */
  private String source(int offset) {
    return file.isEmpty() ? "" : file + ":" + scanner.line(offset);
  }

  /** One graph being read. */
  private final class Body {
    private final String name;
    private final List<Graph.Input> inputs = new ArrayList<>();
    private List<Node> nodes = new ArrayList<>();
    private final List<Graph.Output> outputs = new ArrayList<>();
    private final Map<String, Value> scope = new LinkedHashMap<>();

    /** The names of values that macros made on the way to their results. */
    private final Set<String> taken = new HashSet<>();

    Body(String name) {
      this.name = name;
    }

    Graph read() {
      scanner.expect('(', "after the name of graph " + name);
      while (!scanner.take(')')) {
        input();
        if (!scanner.take(',') && !scanner.at(')')) {
          throw scanner.expected("',' or ')' after an input");
        }
      }
      scanner.expect('{', "before the statements of graph " + name);
      while (!scanner.takeWord("return")) {
        if (!scanner.at('%')) {
          throw scanner.expected("a statement like '%y = relu(%x)', or 'return'");
        }
        statement();
      }
      if (!scanner.at('}')) {
        var donated = new HashSet<Value>();
        do {
          result(donated);
        } while (scanner.take(','));
      }
      scanner.expect('}', "at the end of graph " + name);
      return new Graph(name, inputs, nodes, outputs);
    }

    private void input() {
      int offset = scanner.offset();
      String inputName = scanner.valueName();
      scanner.expect(':', "and a type after input %" + inputName);
      Value value = new Value(inputName, attributes.tensorType());
      define(inputName, value, offset);
      Optional<Shard> sharding = sharding(value);
      inputs.add(new Graph.Input(value, kind()));
      sharding.ifPresent(shard -> scope.put(inputName, annotate(shard, value, ".sharded", offset)));
    }

    /** A value with a sharding: uses of its name in the text are uses of this. */
    private Value annotate(Shard shard, Value value, String suffix, int offset) {
      Value annotated = new Value(value.name() + suffix, value.type());
      if (scope.containsKey(annotated.name())) {
        throw scanner.failure(offset, "%" + annotated.name() + " is made twice in graph " + name);
      }
      taken.add(annotated.name());
      nodes.add(
          new Node(
              shard,
              List.of(value),
              List.of(annotated),
              new Origin(annotated.name(), Role.FORWARD, source(offset))));
      return annotated;
    }

    private Graph.Kind kind() {
      if (!scanner.atWord()) {
        return Graph.Kind.DATA;
      }
      return scanner.oneOf(
          "kind of input",
          List.of(Graph.Kind.values()),
          kind -> kind.name().toLowerCase(Locale.ROOT));
    }

    private void statement() {
      int offset = scanner.offset();
      var names = new ArrayList<String>();
      do {
        names.add(scanner.valueName());
      } while (scanner.take(','));
      scanner.expect('=', "after the names of values");
      int opOffset = scanner.offset();
      String opName = scanner.word("the name of an op");
      scanner.expect('(', "after " + opName);
      List<Value> operands = operands();
      Macro macro = macros.get(opName);
      if (macro != null) {
        scanner.expect(')', "after the operands of " + opName);
        expand(opName, macro, operands, names, offset, opOffset);
      } else {
        node(opName, operands, names, offset, opOffset);
      }
    }

    private List<Value> operands() {
      var operands = new ArrayList<Value>();
      while (scanner.at('%')) {
        operands.add(use());
        if (!scanner.take(',') && !scanner.at(')')) {
          throw scanner.expected("',' or ')' after an operand");
        }
      }
      return operands;
    }

    private Value use() {
      int offset = scanner.offset();
      return use(scanner.valueName(), offset);
    }

    private Value use(String valueName, int offset) {
      Value value = scope.get(valueName);
      if (value == null) {
        throw scanner.failure(
            offset,
            "no value %%%s has been made in graph %s%s"
                .formatted(valueName, name, Suggestion.hint(valueName, scope.keySet())));
      }
      return value;
    }

    private void define(String valueName, Value value, int offset) {
      if (scope.putIfAbsent(valueName, value) != null) {
        throw scanner.failure(offset, "%" + valueName + " is made twice in graph " + name);
      }
      if (taken.contains(valueName)) {
        throw scanner.failure(offset, "%" + valueName + " is taken by a value that a macro made");
      }
    }

    private void node(
        String opName, List<Value> operands, List<String> names, int offset, int opOffset) {
      Class<? extends Op> opType = table.find(opName).orElse(null);
      if (opType == null) {
        throw scanner.failure(
            opOffset, "unknown op '" + opName + "'" + Suggestion.hint(opName, table.names()));
      }
      Op op = attributes.read(opName, opType, opOffset);
      scanner.expect(')', "after " + opName);
      List<TensorType> types = infer(op, operands, opOffset);
      count(opName, types.size(), names.size(), offset);
      var results = new ArrayList<Value>();
      for (int i = 0; i < types.size(); i++) {
        Value value = new Value(names.get(i), types.get(i));
        define(names.get(i), value, offset);
        results.add(value);
      }
      Map<Value, Shard> shardings = check(results);
      nodes.add(new Node(op, operands, results, origin(names.getFirst(), offset)));
      annotate(names, shardings, offset);
    }

    private void annotate(List<String> names, Map<Value, Shard> shardings, int offset) {
      for (String valueName : names) {
        Value value = use(valueName, offset);
        Shard shard = shardings.get(value);
        if (shard != null) {
          scope.put(valueName, annotate(shard, value, ".sharded", offset));
        }
      }
    }

    private List<TensorType> infer(Op op, List<Value> operands, int offset) {
      try {
        List<TensorType> types = op.infer(operands.stream().map(Value::type).toList());
        types.forEach(TensorType::bytes);
        return types;
      } catch (RuntimeException e) {
        // Attributes come from the text as they are: whatever an op says to them is the text's.
        String message = String.valueOf(e.getMessage());
        String prefix = op.name() + ": ";
        throw scanner.failure(offset, message.startsWith(prefix) ? message : prefix + message, e);
      }
    }

    private void expand(
        String opName,
        Macro macro,
        List<Value> operands,
        List<String> names,
        int offset,
        int opOffset) {
      List<Value> before = scope.values().stream().distinct().toList();
      Graph expanded;
      try {
        List<Graph.Output> all = before.stream().map(v -> new Graph.Output(v, null)).toList();
        expanded = macro.expand(new Graph(name, inputs, nodes, all), operands, names.size());
      } catch (UserException e) {
        throw scanner.failure(opOffset, opName + ": " + e.getMessage(), e);
      }
      List<Value> after = expanded.outputValues();
      List<Value> results = after.subList(before.size(), after.size());
      count(opName, results.size(), names.size(), offset);
      Map<Value, Shard> shardings = check(results);
      var current = new HashMap<Value, Value>();
      for (int i = 0; i < before.size(); i++) {
        current.put(before.get(i), after.get(i));
      }
      scope.replaceAll((_, value) -> current.getOrDefault(value, value));
      // A result takes the name in the text, unless it is a value that had a name before.
      var renamed = new HashMap<Value, Value>();
      for (int i = 0; i < results.size(); i++) {
        Value result = results.get(i);
        Value named = scope.containsValue(result) ? result : new Value(names.get(i), result.type());
        define(names.get(i), renamed.computeIfAbsent(result, _ -> named), offset);
      }
      nodes = new ArrayList<>();
      for (Node node : expanded.nodes()) {
        nodes.add(
            new Node(
                node.op(),
                replaced(node.inputs(), renamed),
                replaced(node.outputs(), renamed),
                node.origin()));
        nodes.getLast().outputs().forEach(value -> taken.add(value.name()));
      }
      taken.removeAll(scope.keySet());
      var named = new HashMap<Value, Shard>();
      shardings.forEach((value, shard) -> named.put(renamed.getOrDefault(value, value), shard));
      annotate(names, named, offset);
    }

    private List<Value> replaced(List<Value> values, Map<Value, Value> renamed) {
      return values.stream().map(value -> renamed.getOrDefault(value, value)).toList();
    }

    private void count(String opName, int made, int named, int offset) {
      if (made != named) {
        throw scanner.failure(
            offset, "%s makes %d values, found %d names".formatted(opName, made, named));
      }
    }

    /** The types after the statement, which may be left out; gives the shardings behind them. */
    private Map<Value, Shard> check(List<Value> results) {
      Map<Value, Shard> shardings = new LinkedHashMap<>();
      if (!scanner.take(':')) {
        return shardings;
      }
      for (int i = 0; i < results.size(); i++) {
        if (i > 0) {
          scanner.expect(',', "between the types of results");
        }
        int offset = scanner.offset();
        TensorType written = attributes.tensorType();
        Value result = results.get(i);
        if (!written.equals(result.type())) {
          throw scanner.failure(
              offset, "result %d has type %s, found %s".formatted(i, result.type(), written));
        }
        sharding(result).ifPresent(shard -> shardings.put(result, shard));
      }
      return shardings;
    }

    /** The input that a value is an annotation of, or the value. */
    private Value input(Value value) {
      return Shard.annotated(new Graph(name, inputs, nodes, List.of()), value);
    }

    private Origin origin(String own, int offset) {
      String forward = own;
      Role role = Role.FORWARD;
      String source = source(offset);
      if (scanner.take('@')) {
        if (scanner.at('%')) {
          forward = scanner.valueName();
        } else if (!scanner.at('"')) {
          forward = scanner.word("the name of a forward node or a quoted source after '@'");
        }
        if (scanner.atWord() && !scanner.atWord("return")) {
          role = scanner.oneOf("role", List.of(Role.values()), Role::text);
        }
        if (scanner.at('"')) {
          source = scanner.quoted("the line of the model");
        }
      }
      return new Origin(forward, role, source);
    }

    private void result(Set<Value> donated) {
      Value value = use();
      @Nullable Value donor = null;
      int position = scanner.offset();
      if (scanner.take(':')) {
        Value returned = value;
        Shard shard = sharding(value).orElseThrow(() -> scanner.expected("a sharding after ':'"));
        value = annotate(shard, returned, ".returned" + outputs.size(), position);
      }
      if (scanner.takeWord("into")) {
        int offset = scanner.offset();
        donor = input(use());
        if (inputs.stream().map(Graph.Input::value).noneMatch(donor::equals)) {
          throw scanner.failure(offset, donor + " is no input: its memory cannot be taken over");
        }
        if (!donated.add(donor)) {
          throw scanner.failure(offset, donor + " is taken over twice");
        }
        if (!donor.type().equals(value.type())) {
          throw scanner.failure(offset, value + " does not fit into " + donor);
        }
      }
      outputs.add(new Graph.Output(value, donor));
    }
  }
}
