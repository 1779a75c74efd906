package dev.weft.core.program;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What a device of a stage has in memory, step by step. A micro-batch's tensor counts from the step
 * that makes it to the last that uses it; what is kept counts always.
 *
 * @param held bytes that are set aside, all slots together
 * @param live for each step the bytes that are in use while it runs, if steps run one by one
 */
public record MemoryTimeline(long held, List<Long> live) {
  public MemoryTimeline {
    live = List.copyOf(live);
  }

  public static MemoryTimeline of(StageProgram stage) {
    record Place(int buffer, int slot) {}
    record Stay(int from, int to) {}
    List<List<Access>> accesses = Access.of(stage);
    long[] change = new long[stage.steps().size() + 1];
    Map<Place, Stay> stays = new HashMap<>();
    for (int step = 0; step < accesses.size(); step++) {
      for (Access access : accesses.get(step)) {
        if (!stage.pools().get(stage.buffers().get(access.buffer()).pool()).kept()) {
          var place = new Place(access.buffer(), access.slot());
          Stay stay = stays.get(place);
          if (stay != null && !(access.writes() && !access.reads())) {
            stays.put(place, new Stay(stay.from(), step));
          } else {
            count(
                change,
                stage.buffers().get(place.buffer()),
                stay == null ? -1 : stay.from(),
                stay == null ? -1 : stay.to());
            stays.put(place, new Stay(step, step));
          }
        }
      }
    }
    stays.forEach(
        (place, stay) ->
            count(change, stage.buffers().get(place.buffer()), stay.from(), stay.to()));
    long bytes = 0;
    for (Buffer buffer : stage.buffers()) {
      bytes += stage.pools().get(buffer.pool()).kept() ? buffer.local().bytes() : 0;
    }
    var live = new java.util.ArrayList<Long>();
    for (int step = 0; step < stage.steps().size(); step++) {
      bytes += change[step];
      live.add(bytes);
    }
    return new MemoryTimeline(stage.bytes(), live);
  }

  private static void count(long[] change, Buffer buffer, int from, int to) {
    if (from >= 0) {
      change[from] += buffer.local().bytes();
      change[to + 1] -= buffer.local().bytes();
    }
  }

  /** The most bytes in use at once. */
  public long peak() {
    return live.stream().mapToLong(Long::longValue).max().orElse(held);
  }
}
