package dev.weft.core.schedule;

import dev.weft.core.graph.Builder;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Tensor;
import dev.weft.core.program.Action;
import dev.weft.core.program.Buffer;
import dev.weft.core.program.Fragment;
import dev.weft.core.program.Order;
import dev.weft.core.program.PieceGraphs;
import dev.weft.core.program.PieceGraphs.Held;
import dev.weft.core.program.Pool;
import dev.weft.core.program.StageBuilder;
import dev.weft.core.program.Step;
import dev.weft.core.program.Work;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The steps of one stage for all micro-batches. */
final class StageAssembly {
  private static final String SUM = ".sum";

  private final int stage;
  private final Map<Integer, PieceGraphs> pieces;
  private final Order order;
  private final Wiring wiring;
  private final Timetable timetable;
  private final Timetable slow;
  private final Map<Wiring.Maker, Set<Assembly.Letter>> letters;
  private final List<Assembly.Transfer> transfers;
  private final StageBuilder builder;

  private final Map<String, Tenancy> tenancies = new LinkedHashMap<>();
  private final IdentityHashMap<Use, Tenancy> known = new IdentityHashMap<>();
  private final Map<Wiring.Maker, List<Use>> inputs = new HashMap<>();
  private final Map<Wiring.Maker, List<Use>> outputs = new HashMap<>();
  private final Map<String, Slots> slots = new HashMap<>();
  private final Map<Integer, Slots> slotsByPool = new HashMap<>();
  private final Map<String, Integer> fragments = new HashMap<>();
  private final List<Event> events = new ArrayList<>();

  private final Set<String> folded = new HashSet<>();

  /** The steps that receive, by name and micro-batch. */
  private final Map<String, int[]> receives = new HashMap<>();

  /** What a graph of this stage reads or writes. */
  private record Use(
      String place, Value value, boolean kept, boolean fed, Wiring.@Nullable Maker maker) {}

  /**
   * Something that happens. Transfers have one order on all stages: by time, then sender, the
   * sender's action and the letter.
   *
   * @param phase runs come before transfers at the time of their end
   */
  private record Event(
      double time, int phase, int sender, int action, int letter, Runnable emission) {
    static final Comparator<Event> ORDER =
        Comparator.comparingDouble(Event::time)
            .thenComparingInt(Event::phase)
            .thenComparingInt(Event::sender)
            .thenComparingInt(Event::action)
            .thenComparingInt(Event::letter);
  }

  StageAssembly(
      int stage,
      Map<Integer, PieceGraphs> pieces,
      Order order,
      Wiring wiring,
      Timetable timetable,
      Timetable slow,
      Map<Wiring.Maker, Set<Assembly.Letter>> letters,
      List<Assembly.Transfer> transfers) {
    this.stage = stage;
    this.pieces = pieces;
    this.order = order;
    this.wiring = wiring;
    this.timetable = timetable;
    this.slow = slow;
    this.letters = letters;
    this.transfers = transfers;
    this.builder = new StageBuilder(stage, pieces.values().iterator().next().mesh());
  }

  StageBuilder assemble() {
    for (PieceGraphs piece : pieces.values()) {
      if (!piece.mesh().equals(pieces.values().iterator().next().mesh())) {
        throw new IllegalStateException("the pieces of stage " + stage + " have different meshes");
      }
    }
    int kept = builder.pool(new Pool("kept", 1, true));
    eachAction((action, place, maker) -> tenancies(action, place, maker));
    pools();
    keep(kept);
    runs();
    transfers();
    events.sort(Event.ORDER);
    events.forEach(event -> event.emission().run());
    return builder;
  }

  @FunctionalInterface
  private interface ActionVisitor {
    void visit(Action action, int place, Wiring.Maker maker);
  }

  private void eachAction(ActionVisitor visitor) {
    List<Action> actions = order.stages().get(stage);
    for (int place = 0; place < actions.size(); place++) {
      Wiring.Maker maker = timetable.maker(stage, actions.get(place));
      if (wiring.has(maker)) {
        visitor.visit(actions.get(place), place, maker);
      }
    }
  }

  private boolean isHere(Wiring.Maker maker) {
    return maker.piece() % timetable.stages() == stage;
  }

  private PieceGraphs piece(Wiring.Maker maker) {
    return Objects.requireNonNull(pieces.get(maker.piece()));
  }

  private List<Use> inputs(Wiring.Maker maker) {
    return inputs.computeIfAbsent(maker, this::readsOf);
  }

  private List<Use> outputs(Wiring.Maker maker) {
    return outputs.computeIfAbsent(maker, m -> writes(m, wiring.graph(m)));
  }

  private List<Use> readsOf(Wiring.Maker maker) {
    return reads(maker, wiring.graph(maker));
  }

  private List<Use> reads(Wiring.Maker maker, Graph graph) {
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

  private List<Use> writes(Wiring.Maker maker, Graph graph) {
    var uses = new ArrayList<Use>();
    for (Graph.Output output : graph.outputs()) {
      String name = Wiring.name(output);
      boolean kept = output.donated() != null || Wiring.isSum(piece(maker), name);
      uses.add(
          new Use(kept ? name : wiring.place(maker, name), output.value(), kept, false, maker));
    }
    return uses;
  }

  private void tenancies(Action action, int place, Wiring.Maker maker) {
    tenancies(0, timetable, action, place, maker);
    tenancies(1, slow, action, place, maker);
  }

  private void tenancies(int which, Timetable times, Action action, int place, Wiring.Maker maker) {
    int microBatch = action.microBatch();
    double start = times.start(stage, place);
    double end = times.end(stage, place);
    String event = new Action(action.work(), 0, action.chunk()).toString().replaceFirst("0", "");
    double ready = start;
    for (Use use : inputs(maker)) {
      if (use.maker() != null && !isHere(use.maker())) {
        ready = Math.min(ready, times.end(use.maker(), microBatch));
      }
    }
    for (Use use : inputs(maker)) {
      if (use.kept()) {
        continue;
      }
      Tenancy tenancy = tenancy(use, piece(maker), use.fed());
      tenancy.end(which, microBatch, end, event);
      if (use.maker() == null) {
        tenancy.start(which, microBatch, ready, "feed");
      } else if (!isHere(use.maker())) {
        tenancy.start(which, microBatch, times.end(use.maker(), microBatch), "receive");
      }
    }
    Set<Assembly.Letter> sent = letters.getOrDefault(maker, Set.of());
    for (Use use : outputs(maker)) {
      if (use.kept()) {
        continue;
      }
      Tenancy tenancy = tenancy(use, piece(maker), false);
      tenancy.start(which, microBatch, start, event);
      tenancy.end(which, microBatch, end, event);
      if (sent.stream().anyMatch(letter -> letter.name().equals(use.place()))) {
        tenancy.end(which, microBatch, end + Timetable.TRANSFER, "send");
      }
    }
  }

  private Tenancy tenancy(Use use, PieceGraphs piece, boolean fed) {
    return known.computeIfAbsent(use, _ -> registered(use, piece, fed));
  }

  private Tenancy registered(Use use, PieceGraphs piece, boolean fed) {
    Held held = piece.held(use.value().name(), use.value().type());
    Graph.Kind kind = fed ? kindOf(use, piece) : Graph.Kind.STATE;
    Tenancy tenancy =
        tenancies.computeIfAbsent(
            use.place(),
            name -> new Tenancy(name, held, use.value().type(), kind, order.microBatches()));
    Buffer buffer = tenancy.in(-1);
    if (!buffer.local().equals(use.value().type())
        || !buffer.type().equals(held.type())
        || !buffer.layout().equals(held.layout())
        || buffer.kind() != kind) {
      throw new IllegalStateException(
          "stage " + stage + " holds " + buffer + " and " + held + " under one name");
    }
    return tenancy;
  }

  private static Graph.Kind kindOf(Use use, PieceGraphs piece) {
    return piece.graphs().values().stream()
        .flatMap(graph -> graph.inputs().stream())
        .filter(input -> input.value().name().equals(use.value().name()))
        .findFirst()
        .orElseThrow()
        .kind();
  }

  private void pools() {
    var pools = new LinkedHashMap<Tenancy.Times, Integer>();
    Set<String> names = new HashSet<>();
    tenancies.forEach(
        (name, tenancy) -> {
          Tenancy.Times times = tenancy.times();
          int pool =
              pools.computeIfAbsent(
                  times,
                  _ -> {
                    Slots assigned = Slots.of(times);
                    String free = tenancy.lifetime();
                    for (int number = 2; !names.add(free); number++) {
                      free = tenancy.lifetime() + "_" + number;
                    }
                    int added = builder.pool(new Pool(free, assigned.count(), false));
                    slotsByPool.put(added, assigned);
                    return added;
                  });
          builder.buffer(tenancy.in(pool));
          slots.put(name, Objects.requireNonNull(slotsByPool.get(pool)));
        });
    slotsByPool.forEach(this::feeds);
  }

  /** Data and facts are fed when the first of them is needed. */
  private void feeds(int pool, Slots assigned) {
    List<Tenancy> fed =
        tenancies.values().stream()
            .filter(t -> StageBuilder.isFed(t.in(pool)))
            .filter(t -> builder.buffer(number(t.in(pool).name())).pool() == pool)
            .toList();
    if (fed.isEmpty()) {
      return;
    }
    List<List<Double>> starts = fed.getFirst().times().starts();
    for (int microBatch = 0; microBatch < order.microBatches(); microBatch++) {
      int fedNow = microBatch;
      int slot = assigned.of().get(microBatch);
      events.add(
          new Event(
              starts.get(microBatch).getFirst(),
              1,
              stage,
              microBatch,
              pool,
              () -> builder.feed(pool, slot, fedNow)));
    }
  }

  private int number(String buffer) {
    return builder
        .find(buffer)
        .orElseThrow(
            () -> new IllegalStateException("stage " + stage + " has no buffer " + buffer));
  }

  /** Buffers for what outlives the step, as the pieces' graphs name it. */
  private void keep(int pool) {
    for (PieceGraphs piece : pieces.values()) {
      var graphs = new ArrayList<>(piece.graphs().values());
      graphs.addAll(piece.first().values());
      graphs.addAll(piece.last().values());
      for (Graph graph : graphs) {
        for (Graph.Input input : graph.inputs()) {
          switch (input.kind()) {
            case PARAMETER, ACCUMULATOR, STATE ->
                keep(piece, input.value().name(), input.value().type(), input.kind(), pool);
            case DATA, FACT -> {}
          }
        }
      }
      for (Graph graph : graphs) {
        for (Graph.Output output : graph.outputs()) {
          String name = Wiring.name(output);
          if (output.donated() == null && Wiring.isSum(piece, name)) {
            keep(piece, name, output.value().type(), Graph.Kind.ACCUMULATOR, pool);
          }
        }
      }
    }
  }

  private void keep(PieceGraphs piece, String name, TensorType local, Graph.Kind kind, int pool) {
    Held held = piece.held(name, local);
    var buffer = new Buffer(name, held.type(), held.layout(), local, kind, pool);
    if (builder.find(name).isEmpty()) {
      builder.buffer(buffer);
    } else if (!builder.buffer(number(name)).equals(buffer)) {
      throw new IllegalStateException(
          "stage " + stage + " keeps " + builder.buffer(number(name)) + " and " + buffer);
    }
  }

  /**
   * A run per action. What adds onto accumulators that hold nothing yet is replaced by what writes
   * them, if there is such a graph and none of them holds anything; else they are cleared first.
   * What is the last to add onto all of its accumulators is replaced by what folds them too.
   */
  private void runs() {
    Map<String, Integer> latest = new HashMap<>();
    eachAction((action, place, maker) -> sums(maker).forEach(sum -> latest.put(sum, place)));
    Set<String> filled = new HashSet<>();
    Set<String> cleared = new LinkedHashSet<>();
    eachAction(
        (action, place, maker) -> {
          Set<String> sums = sums(maker);
          Graph first = piece(maker).first().get(maker.work());
          Graph last = piece(maker).last().get(maker.work());
          boolean writes =
              first != null && !sums.isEmpty() && sums.stream().noneMatch(filled::contains);
          if (!writes) {
            sums.stream().filter(sum -> !filled.contains(sum)).forEach(cleared::add);
          }
          filled.addAll(sums);
          boolean folds =
              last != null
                  && !writes
                  && sums.stream().allMatch(sum -> Objects.equals(latest.get(sum), place));
          if (folds) {
            folded.addAll(sums);
          }
          int fragment =
              writes
                  ? fragment(maker, Objects.requireNonNull(first), ".first")
                  : folds
                      ? fragment(maker, Objects.requireNonNull(last), ".last")
                      : fragment(maker, wiring.graph(maker), "");
          events.add(
              new Event(
                  timetable.end(stage, place),
                  0,
                  stage,
                  place,
                  0,
                  () -> run(fragment, action, maker)));
        });
    if (!cleared.isEmpty()) {
      int clear = builder.fragment(clear(cleared));
      events.add(
          new Event(-1, 0, stage, -1, 0, () -> builder.run(clear, Step.ONCE, Map.of(), List.of())));
    }
  }

  /** The accumulators onto which a graph adds. */
  private Set<String> sums(Wiring.Maker maker) {
    Set<String> sums = new LinkedHashSet<>();
    wiring.graph(maker).inputs(Graph.Kind.ACCUMULATOR).forEach(v -> sums.add(v.name()));
    return sums;
  }

  /** The accumulators whose sums are folded at last. */
  Set<String> folded() {
    return Set.copyOf(folded);
  }

  private Fragment clear(Set<String> sums) {
    var graph = new Builder("clear");
    var numbers = new ArrayList<Integer>();
    for (String sum : sums) {
      Buffer buffer = builder.buffer(number(sum));
      numbers.add(number(sum));
      Value value = graph.input(sum, buffer.local(), Graph.Kind.ACCUMULATOR);
      graph.output(new Tensor(graph, value).filled(0).value(), value);
    }
    return new Fragment("clear", Work.STEP, 0, graph.build(), numbers, numbers);
  }

  private int fragment(Wiring.Maker maker, Graph graph, String variant) {
    int chunk = maker.piece() / timetable.stages();
    String name =
        maker.work().name().toLowerCase(Locale.ROOT).replace('_', '-')
            + (order.chunks() == 1 ? "" : "." + chunk)
            + variant;
    Integer known = fragments.get(name);
    if (known != null) {
      return known;
    }
    List<Integer> read = reads(maker, graph).stream().map(use -> number(use.place())).toList();
    List<Integer> written = writes(maker, graph).stream().map(use -> number(use.place())).toList();
    int added = builder.fragment(new Fragment(name, maker.work(), chunk, graph, read, written));
    fragments.put(name, added);
    return added;
  }

  private void run(int fragment, Action action, Wiring.Maker maker) {
    int microBatch = action.microBatch();
    Map<Integer, Integer> chosen = new HashMap<>();
    Fragment run = builder.fragment(fragment);
    for (List<Integer> touched : List.of(run.inputs(), run.outputs())) {
      for (int buffer : touched) {
        int pool = builder.buffer(buffer).pool();
        Slots assigned = slotsByPool.get(pool);
        if (assigned != null) {
          chosen.put(pool, assigned.of().get(microBatch));
        }
      }
    }
    var further = new ArrayList<Integer>();
    if (timetable.isInline(stage, action)) {
      var backward = new HashSet<Wiring.Maker>(timetable.arriving(maker));
      receives.forEach(
          (name, steps) -> {
            if (backward.stream().anyMatch(m -> sends(m, name))) {
              further.add(steps[microBatch]);
            }
          });
    }
    builder.run(fragment, microBatch, chosen, further);
  }

  private boolean sends(Wiring.Maker maker, String name) {
    return letters.getOrDefault(maker, Set.of()).contains(new Assembly.Letter(name, stage));
  }

  /** Sends and receives of this stage, both at the time when the value is made. */
  private void transfers() {
    for (Assembly.Transfer transfer : transfers) {
      for (int microBatch = 0; microBatch < order.microBatches(); microBatch++) {
        transfer(transfer.maker(), transfer.letter(), transfer.ordinal(), microBatch);
      }
    }
  }

  private void transfer(Wiring.Maker maker, Assembly.Letter letter, int ordinal, int microBatch) {
    int sender = maker.piece() % timetable.stages();
    int buffer = number(letter.name());
    int slot = Objects.requireNonNull(slots.get(letter.name())).of().get(microBatch);
    int[] steps = receives.computeIfAbsent(letter.name(), _ -> new int[order.microBatches()]);
    Runnable emission =
        sender == stage
            ? () -> builder.send(buffer, slot, letter.to(), microBatch)
            : () -> steps[microBatch] = builder.receive(buffer, slot, sender, microBatch);
    events.add(
        new Event(
            timetable.end(maker, microBatch),
            1,
            sender,
            timetable.place(maker, microBatch),
            ordinal,
            emission));
  }
}
