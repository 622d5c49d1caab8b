import time
import pytest
@pytest.mark.parametrize("n", range(6))
async def test_x(world, n):
    t=time.time()
    b = await world.bind("a"); print("bind", time.time()-t)
    print(await world.dial(b))
