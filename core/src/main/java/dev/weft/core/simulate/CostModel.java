package dev.weft.core.simulate;

import dev.weft.core.cluster.Link;
import dev.weft.core.program.Fragment;
import dev.weft.core.program.StageProgram;
import java.util.List;

/** What the parts of a program take. Asked once per fragment and pair of stages. */
public interface CostModel {
  /**
   * How long a fragment runs.
   *
   * @param time of the whole, in seconds or units
   * @param waits when devices do nothing but wait for collectives
   * @param collectives when collectives are under way
   */
  record Duration(double time, List<Span> waits, List<Span> collectives) {
    public Duration {
      waits = List.copyOf(waits);
      collectives = List.copyOf(collectives);
    }

    /** Of computing alone. */
    public Duration(double time) {
      this(time, List.of(), List.of());
    }

    /** The part of it during which devices do nothing but wait for collectives. */
    public double communication() {
      return waits.stream().mapToDouble(span -> span.end() - span.start()).sum();
    }

    /** With some computing behind. */
    Duration and(double more) {
      return new Duration(time + more, waits, collectives);
    }
  }

  /**
   * A stretch of a fragment's time.
   *
   * @param name of the collective
   */
  record Span(String name, double start, double end) {
    /** The same in the round of a repeat. */
    Span in(int round, double begin) {
      return new Span(name + "#" + round, begin + start, begin + end);
    }
  }

  /** What one device of the stage takes for a fragment, collectives included. */
  Duration fragment(StageProgram stage, Fragment fragment);

  /** The way from each device of a stage to its counterpart of another. */
  Link link(int from, int to);

  /**
   * Numbers of what a transfer from a stage to another takes and transfers between other stages may
   * need too, as the ways from hosts to others: each serves one transfer at a time.
   */
  default List<Integer> shared(int from, int to) {
    return List.of();
  }
}
