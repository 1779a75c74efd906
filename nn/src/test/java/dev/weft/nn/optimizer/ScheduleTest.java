package dev.weft.nn.optimizer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class ScheduleTest {
  @Test
  void growsThenFallsToATenth() {
    var schedule = new Schedule(2, 10, 110);
    assertEquals(0.2, schedule.rate(1), 1e-12);
    assertEquals(2, schedule.rate(10), 1e-12);
    assertEquals(1.1, schedule.rate(60), 1e-12);
    assertEquals(0.2, schedule.rate(110), 1e-12);
    assertEquals(0.2, schedule.rate(500), 1e-12);
    for (int step = 11; step < 110; step++) {
      assertTrue(schedule.rate(step + 1) < schedule.rate(step));
    }
  }

  @Test
  void warmUpMayBeMissingOrTheWholeTraining() {
    assertEquals(2, new Schedule(2, 0, 100).rate(1), 0.001);
    assertEquals(2, new Schedule(2, 5, 5).rate(5), 1e-12);
  }
}
