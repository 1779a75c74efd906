package dev.weft.core.schedule;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Value;
import dev.weft.core.program.Action;
import dev.weft.core.program.PieceGraphs;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** One kind of work of a piece: what it reads and writes on its stage, for any micro-batch. */
final class StageWork {
  private static final int VARIANTS = Variant.values().length;

  private final Wiring.Maker maker;
  private final PieceGraphs piece;
  private final Wiring wiring;
  private final int stages;
  private final String event;
  private final Set<String> sums = new LinkedHashSet<>();
  private final int[] fragments = new int[VARIANTS];
  private int last;

  /** Which of its graphs runs. */
  enum Variant {
    PLAIN,
    /** Accumulators hold nothing yet. */
    FIRST,
    /** Nothing is added onto its accumulators any more. */
    LAST
  }

  /**
   * What a graph of the stage reads or writes.
   *
   * @param maker who makes what is read; null for what is kept or fed
   */
  record Use(String place, Value value, boolean kept, boolean fed, Wiring.@Nullable Maker maker) {}

  /**
   * A tensor that is not kept.
   *
   * @param from who sends it; null where it is made or fed here
   * @param sent whether it is sent when it is made
   */
  record Need(Tenancy tenancy, boolean fed, Wiring.@Nullable Maker from, boolean sent) {}

  private List<Need> read = List.of();
  private List<Need> written = List.of();

  StageWork(Wiring.Maker maker, PieceGraphs piece, Wiring wiring, int stages) {
    this.maker = maker;
    this.piece = piece;
    this.wiring = wiring;
    this.stages = stages;
    event = new Action(maker.work(), 0, maker.piece() / stages).toString().replaceFirst("0", "");
    graph().inputs(Graph.Kind.ACCUMULATOR).forEach(v -> sums.add(v.name()));
    Arrays.fill(fragments, -1);
  }

  Wiring.Maker maker() {
    return maker;
  }

  PieceGraphs piece() {
    return piece;
  }

  Graph graph() {
    return wiring.graph(maker);
  }

  /** The action's text without a micro-batch. */
  String event() {
    return event;
  }

  private boolean isHere(Wiring.Maker other) {
    return other.piece() % stages == maker.piece() % stages;
  }

  /** What one of its graphs reads. */
  List<Use> reads(Graph graph) {
    Map<String, Wiring.Maker> made = wiring.inputs(maker);
    var uses = new ArrayList<Use>();
    for (Graph.Input input : graph.inputs()) {
      String name = input.value().name();
      boolean kept =
          switch (input.kind()) {
            case PARAMETER, ACCUMULATOR, STATE -> true;
            case DATA, FACT -> false;
          };
      Wiring.Maker by = made.get(name);
      boolean fed = !kept && (by == null || input.kind() == Graph.Kind.FACT);
      String place = by != null && isHere(by) ? wiring.place(by, name) : name;
      uses.add(new Use(place, input.value(), kept, fed, fed || kept ? null : by));
    }
    return uses;
  }

  /** What one of its graphs writes. */
  List<Use> writes(Graph graph) {
    var uses = new ArrayList<Use>();
    for (Graph.Output output : graph.outputs()) {
      String name = Wiring.name(output);
      boolean kept = output.donated() != null || Wiring.isSum(piece, name);
      uses.add(
          new Use(kept ? name : wiring.place(maker, name), output.value(), kept, false, maker));
    }
    return uses;
  }

  /** The accumulators onto which it adds. */
  Set<String> sums() {
    return sums;
  }

  /** Gives a tensor its memory. */
  @FunctionalInterface
  interface Register {
    Tenancy tenancy(Use use, PieceGraphs piece);
  }

  /**
   * Finds the memory of what it reads and writes.
   *
   * @param sent what is sent of what it makes
   */
  void register(Register register, Set<Assembly.Letter> sent) {
    var inputs = new ArrayList<Need>();
    for (Use use : reads(graph())) {
      if (!use.kept()) {
        Wiring.Maker by = use.maker();
        inputs.add(
            new Need(
                register.tenancy(use, piece),
                by == null,
                by == null || isHere(by) ? null : by,
                false));
      }
    }
    var outputs = new ArrayList<Need>();
    for (Use use : writes(graph())) {
      if (!use.kept()) {
        boolean leaves = sent.stream().anyMatch(letter -> letter.name().equals(use.place()));
        outputs.add(new Need(register.tenancy(use, piece), false, null, leaves));
      }
    }
    read = inputs;
    written = outputs;
  }

  /** What it reads of what is not kept. */
  List<Need> read() {
    return read;
  }

  /** What it writes of what is not kept. */
  List<Need> written() {
    return written;
  }

  /** The number of the fragment of one of its graphs; -1 if there is none yet. */
  int fragment(Variant variant) {
    return fragments[variant.ordinal()];
  }

  void fragment(Variant variant, int number) {
    fragments[variant.ordinal()] = number;
  }

  /** The place of the last action of this kind. */
  int last() {
    return last;
  }

  void last(int place) {
    last = place;
  }
}
