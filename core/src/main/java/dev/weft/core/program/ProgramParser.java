package dev.weft.core.program;

import dev.weft.core.cluster.Folding;
import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.Spec;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.GraphReader;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Reads the text form of programs. */
final class ProgramParser {
  private final GraphReader reader;

  ProgramParser(GraphReader reader) {
    this.reader = reader;
  }

  Program program() {
    reader.expect("program", "at the beginning");
    String name = reader.name("the name of the program");
    int microBatches = attribute("micro-batches");
    reader.expect('{', "before the stages");
    var stages = new ArrayList<StageProgram>();
    while (!reader.take('}')) {
      stages.add(new Stage().read());
    }
    if (!reader.atEnd()) {
      throw reader.expected("the end of the text after the program");
    }
    return new Program(name, microBatches, stages);
  }

  private int attribute(String name) {
    reader.expect(name, "and a number");
    reader.expect('=', "after '" + name + "'");
    return reader.number();
  }

  private static String word(Enum<?> constant) {
    return constant.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /** A stage being read. */
  private final class Stage {
    private final List<Pool> pools = new ArrayList<>();
    private final List<Buffer> buffers = new ArrayList<>();
    private final List<String> names = new ArrayList<>();
    private final List<Fragment> fragments = new ArrayList<>();
    private final List<Step> steps = new ArrayList<>();

    StageProgram read() {
      reader.expect("stage", "before a stage");
      int number = reader.number();
      Mesh mesh = Mesh.SINGLE;
      if (reader.takeWord("mesh")) {
        mesh = new Mesh(reader.list("the axes of the mesh", reader::axis));
      }
      reader.expect('{', "before what stage " + number + " holds");
      while (!reader.take('}')) {
        if (reader.takeWord("pool")) {
          pool();
        } else if (reader.takeWord("buffer")) {
          buffer();
        } else if (reader.takeWord("fragment")) {
          fragment();
        } else if (reader.takeWord("step")) {
          steps.add(step());
        } else {
          throw reader.expected("'pool', 'buffer', 'fragment', 'step' or '}'");
        }
      }
      return new StageProgram(number, mesh, pools, buffers, fragments, steps);
    }

    private void pool() {
      String name = reader.name("the name of the pool");
      int slots = attribute("slots");
      pools.add(new Pool(name, slots, reader.takeWord("kept")));
    }

    private void buffer() {
      String name = reader.valueName();
      reader.expect(':', "and a type after the name of the buffer");
      TensorType type = reader.type();
      Layout layout = Layout.whole(type.rank());
      if (reader.atSpec()) {
        Spec spec = reader.spec();
        var dims = new ArrayList<List<String>>();
        for (int dim = 0; dim < spec.rank(); dim++) {
          dims.add(spec.axes(dim));
        }
        layout = new Layout(dims, Map.of());
      }
      if (reader.takeWord("partial")) {
        Map<String, Folding> partial = new HashMap<>();
        for (Map.Entry<String, Folding> axis : reader.list("foldings by axis", this::folding)) {
          partial.put(axis.getKey(), axis.getValue());
        }
        layout = layout.withPartial(partial);
      }
      TensorType local = reader.takeWord("local") ? reader.type() : type;
      Graph.Kind kind =
          reader.oneOf("kind of buffer", List.of(Graph.Kind.values()), ProgramParser::word);
      reader.expect("in", "before the pool of the buffer");
      buffers.add(new Buffer(name, type, layout, local, kind, poolNumber()));
      names.add(name);
    }

    private Map.Entry<String, Folding> folding() {
      String axis = reader.name("the name of a mesh axis");
      reader.expect('=', "after the name of a mesh axis");
      return Map.entry(
          axis, reader.oneOf("folding", List.of(Folding.values()), ProgramParser::word));
    }

    private int poolNumber() {
      return pools.indexOf(reader.oneOf("pool", pools, Pool::name));
    }

    private int buffer(String what) {
      return reader.valueOf(what, names);
    }

    private void fragment() {
      String name = reader.name("the name of the fragment");
      Work work = reader.oneOf("work", List.of(Work.values()), ProgramParser::word);
      int chunk = attribute("chunk");
      reader.expect("reads", "and buffers");
      List<Integer> inputs = reader.list("buffers", () -> buffer("buffer"));
      reader.expect("writes", "and buffers");
      List<Integer> outputs = reader.list("buffers", () -> buffer("buffer"));
      fragments.add(new Fragment(name, work, chunk, reader.graph(), inputs, outputs));
    }

    private Step step() {
      int number = reader.number();
      if (number != steps.size()) {
        throw reader.expected("step " + steps.size() + " to be the next, not " + number + ":");
      }
      reader.expect(':', "after the number of the step");
      String kind = reader.oneOf("step", List.of("run", "feed", "send", "receive"), word -> word);
      return switch (kind) {
        case "run" -> run();
        case "feed" -> {
          int pool = poolNumber();
          yield new Step.Feed(pool, attribute("slot"), microBatch(), awaits());
        }
        case "send" -> {
          int buffer = buffer("buffer");
          int slot = attribute("slot");
          yield new Step.Send(buffer, slot, attribute("to"), microBatch(), awaits());
        }
        default -> {
          int buffer = buffer("buffer");
          int slot = attribute("slot");
          yield new Step.Receive(buffer, slot, attribute("from"), microBatch(), awaits());
        }
      };
    }

    private Step run() {
      int fragment = fragments.indexOf(reader.oneOf("fragment", fragments, Fragment::name));
      int microBatch = microBatch();
      List<Integer> slots = new ArrayList<>(Collections.nCopies(pools.size(), 0));
      if (reader.takeWord("in")) {
        reader.list(
            "slots by pool",
            () -> {
              int pool = poolNumber();
              reader.expect('=', "after the name of the pool");
              return slots.set(pool, reader.number());
            });
      }
      return new Step.Run(fragment, microBatch, slots, awaits());
    }

    private int microBatch() {
      return reader.takeWord("once") ? Step.ONCE : attribute("batch");
    }

    private List<Integer> awaits() {
      return reader.takeWord("after") ? reader.list("steps", reader::number) : List.of();
    }
  }
}
