"""The same with aconcur: the generations are iterated."""

from aconcur.life import Grid, simulate


async def main(text, generations):
    grid = Grid.from_text(text)
    async for generation in simulate(grid, stop=generations):
        print(generation.grid.to_text())
