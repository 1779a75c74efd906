package dev.weft.core.op;

import dev.weft.core.cluster.Suggestion;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Origin;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
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
  private int depth;

  GraphParser(String text, OpTable table, Map<String, Macro> macros) {
    this.scanner = new TextScanner(text);
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

  private Graph graph() {
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

  private TensorType type() {
    TensorType type = attributes.tensorType();
    noSharding();
    return type;
  }

  private void noSharding() {
    if (scanner.at('[')) {
      throw scanner.failure(scanner.offset(), "shardings are not supported yet");
    }
  }

  /** One graph being read. */
  private final class Body {
    private final String name;
    private final Builder builder;
    private final Map<String, Value> scope = new HashMap<>();
    private final Set<Value> inputs = new HashSet<>();

    /** What a macro made, and the value of the name and type that the text gives it. */
    private final Map<Value, Value> renamed = new HashMap<>();

    Body(String name) {
      this.name = name;
      this.builder = new Builder(name);
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
      return rename(builder.build());
    }

    private void input() {
      int offset = scanner.offset();
      String inputName = scanner.valueName();
      scanner.expect(':', "and a type after input %" + inputName);
      TensorType type = type();
      Value value = new Value(inputName, type);
      define(inputName, value, offset);
      builder.append(new Graph.Input(value, kind()));
      inputs.add(value);
    }

    private Graph.Kind kind() {
      if (!scanner.atWord()) {
        return Graph.Kind.DATA;
      }
      int offset = scanner.offset();
      List<String> known =
          Arrays.stream(Graph.Kind.values()).map(k -> k.name().toLowerCase(Locale.ROOT)).toList();
      String word = scanner.word("the kind of the input");
      int index = known.indexOf(word);
      if (index < 0) {
        throw scanner.failure(
            offset,
            "unknown kind of input '%s': expected one of %s%s"
                .formatted(word, known, Suggestion.hint(word, known)));
      }
      return Graph.Kind.values()[index];
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
      String valueName = scanner.valueName();
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
      check(types);
      var outputs = new ArrayList<Value>();
      for (int i = 0; i < types.size(); i++) {
        Value value = new Value(names.get(i), types.get(i));
        define(names.get(i), value, offset);
        outputs.add(value);
      }
      append(new Node(op, operands, outputs, origin(names.getFirst())), offset);
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

    private void append(Node node, int offset) {
      try {
        builder.append(node);
      } catch (IllegalStateException e) {
        throw scanner.failure(offset, "this name is taken by a value that a macro made", e);
      }
    }

    private void expand(
        String opName,
        Macro macro,
        List<Value> operands,
        List<String> names,
        int offset,
        int opOffset) {
      builder.prefix(names.getFirst() + ".");
      var before = new HashSet<>(scope.values());
      List<Value> results;
      try {
        results =
            macro
                .expand(
                    builder,
                    operands.stream().map(v -> new Tensor(builder, v)).toList(),
                    names.size())
                .stream()
                .map(Tensor::value)
                .toList();
      } catch (RuntimeException e) {
        throw scanner.failure(opOffset, opName + ": " + e.getMessage(), e);
      }
      count(opName, results.size(), names.size(), offset);
      check(results.stream().map(Value::type).toList());
      for (int i = 0; i < results.size(); i++) {
        Value made = results.get(i);
        define(names.get(i), made, offset);
        if (!before.contains(made)) {
          renamed.putIfAbsent(made, new Value(names.get(i), made.type()));
        }
      }
    }

    private void count(String opName, int made, int named, int offset) {
      if (made != named) {
        throw scanner.failure(
            offset, "%s makes %d values, found %d names".formatted(opName, made, named));
      }
    }

    /** The types after the statement, which may be left out. */
    private void check(List<TensorType> inferred) {
      if (!scanner.take(':')) {
        return;
      }
      for (int i = 0; i < inferred.size(); i++) {
        if (i > 0) {
          scanner.expect(',', "between the types of results");
        }
        int offset = scanner.offset();
        TensorType written = type();
        if (!written.equals(inferred.get(i))) {
          throw scanner.failure(
              offset, "result %d has type %s, found %s".formatted(i, inferred.get(i), written));
        }
      }
    }

    private Origin origin(String own) {
      String forward = own;
      Role role = Role.FORWARD;
      String source = "";
      if (scanner.take('@')) {
        if (scanner.at('%')) {
          forward = scanner.valueName();
        } else if (!scanner.at('"')) {
          forward = scanner.word("the name of a forward node or a quoted source after '@'");
        }
        if (scanner.atWord() && !scanner.atWord("return")) {
          role = role();
        }
        if (scanner.at('"')) {
          source = scanner.quoted("the line of the model");
        }
      }
      return new Origin(forward, role, source);
    }

    private Role role() {
      int offset = scanner.offset();
      List<String> known = Arrays.stream(Role.values()).map(Role::text).toList();
      String word = scanner.word("a role");
      int index = known.indexOf(word);
      if (index < 0) {
        throw scanner.failure(
            offset,
            "unknown role '%s': expected one of %s%s"
                .formatted(word, known, Suggestion.hint(word, known)));
      }
      return Role.values()[index];
    }

    private void result(Set<Value> donated) {
      Value value = use();
      @Nullable Value donor = null;
      if (scanner.take(':')) {
        noSharding();
        throw scanner.expected("a sharding after ':'");
      }
      if (scanner.takeWord("into")) {
        int offset = scanner.offset();
        donor = use();
        if (!inputs.contains(donor)) {
          throw scanner.failure(offset, donor + " is no input: its memory cannot be taken over");
        }
        if (!donated.add(donor)) {
          throw scanner.failure(offset, donor + " is taken over twice");
        }
        if (!donor.type().equals(value.type())) {
          throw scanner.failure(offset, value + " does not fit into " + donor);
        }
      }
      builder.output(value, donor);
    }

    /** The graph with the results of macros named as in the text. */
    private Graph rename(Graph graph) {
      if (renamed.isEmpty()) {
        return graph;
      }
      List<Node> nodes =
          graph.nodes().stream()
              .map(
                  n ->
                      new Node(n.op(), replaced(n.inputs()), replaced(n.outputs()), n.origin()))
              .toList();
      List<Graph.Output> outputs =
          graph.outputs().stream()
              .map(o -> new Graph.Output(replaced(o.value()), o.donated()))
              .toList();
      return new Graph(name, graph.inputs(), nodes, outputs);
    }

    private List<Value> replaced(List<Value> values) {
      return values.stream().map(this::replaced).toList();
    }

    private Value replaced(Value value) {
      return renamed.getOrDefault(value, value);
    }
  }
}
