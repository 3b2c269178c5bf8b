from tests.kit.world import point


def test_send_then_read(world):
    assert world.send(point(value=1.5, unit="C")) == "1 Data Added"
    (got,) = world.read()
    assert got["value"] == 1.5 and got["unit"] == "C" and got["device"] == world.device
