"""Questions about the world, numbers and language that have nothing to do with bicycles or the handbook: what an adapter has
forgotten shows in how much less often than the base it finds the right answer the likeliest.

A line holds what goes into the task's question, then the choices, the right one first; make_data.py spreads the right
ones evenly over the places. The question does not list the choices: each is scored as an answer of its own, so they are
alike in kind and length and none begins another. Sentences of grammar differ in one word.
"""


def items(text):
    return [(about, choices.split(" | ")) for line in text.strip().splitlines() for about, choices in [line.strip().split(" -> ")]]


QUESTIONS = {
    "capitals": "Name the capital city of {}.",
    "opposites": "What is the opposite of {}?",
    "arithmetic": "Calculate {}.",  # answered as "7 plus 8 equals 15"
    "grammar": "Write a correct sentence about {}.",
    "facts": "{}",
    "completion": "Finish this sentence: {} …",
}

ITEMS = {
    "capitals": items("""
        Norway -> Oslo | Copenhagen | Helsinki | Stockholm
        Poland -> Warsaw | Prague | Vilnius | Berlin
        Hungary -> Budapest | Vienna | Bucharest | Belgrade
        Portugal -> Lisbon | Madrid | Rabat | Paris
        Austria -> Vienna | Prague | Zagreb | Berlin
        Bulgaria -> Sofia | Athens | Skopje | Ankara
        Croatia -> Zagreb | Belgrade | Sarajevo | Ljubljana
        Greece -> Athens | Tirana | Ankara | Sofia
        Estonia -> Tallinn | Helsinki | Vilnius | Minsk
        Latvia -> Riga | Tallinn | Vilnius | Minsk
        Belgium -> Brussels | Amsterdam | Paris | Berlin
        Ireland -> Dublin | London | Cardiff | Edinburgh
        Romania -> Bucharest | Budapest | Belgrade | Sofia
        Lithuania -> Vilnius | Riga | Tallinn | Warsaw
        Albania -> Tirana | Skopje | Athens | Sarajevo
        Iceland -> Reykjavik | Dublin | Oslo | Stockholm
        Egypt -> Cairo | Tripoli | Khartoum | Amman
        Morocco -> Rabat | Algiers | Tunis | Dakar
        Kenya -> Nairobi | Kampala | Mogadishu | Dodoma
        Ghana -> Accra | Abuja | Bamako | Niamey
        Nigeria -> Abuja | Accra | Niamey | Bamako
        Ethiopia -> Addis Ababa | Nairobi | Khartoum | Mogadishu
        Senegal -> Dakar | Bamako | Banjul | Conakry
        Zimbabwe -> Harare | Lusaka | Maputo | Gaborone
        Angola -> Luanda | Lusaka | Kinshasa | Windhoek
        Uganda -> Kampala | Nairobi | Kigali | Juba
        Canada -> Ottawa | Washington | Havana | Nassau
        Cuba -> Havana | Kingston | Nassau | Caracas
        Jamaica -> Kingston | Havana | Nassau | Bridgetown
        Peru -> Lima | Quito | Bogota | La Paz
        Chile -> Santiago | Montevideo | Asuncion | Lima
        Argentina -> Buenos Aires | Montevideo | Santiago | Asuncion
        Colombia -> Bogota | Caracas | Quito | Lima
        Venezuela -> Caracas | Bogota | Georgetown | Brasilia
        Uruguay -> Montevideo | Asuncion | Buenos Aires | Brasilia
        Nepal -> Kathmandu | New Delhi | Thimphu | Dhaka
        Pakistan -> Islamabad | Kabul | New Delhi | Tehran
        Iran -> Tehran | Baghdad | Kabul | Ankara
        Lebanon -> Beirut | Damascus | Amman | Baghdad
        Thailand -> Bangkok | Hanoi | Vientiane | Phnom Penh
        """),
    "opposites": items("""
        generous -> stingy | lonely | clumsy | gentle
        ancient -> modern | wooden | sacred | famous
        shallow -> deep | loud | warm | sour
        arrive -> depart | invite | decide | repeat
        victory -> defeat | battle | trophy | player
        expand -> shrink | travel | wander | borrow
        brave -> timid | lucky | noble | silly
        polite -> rude | calm | poor | shy
        guilty -> innocent | dangerous | reluctant | important
        rough -> smooth | narrow | bright | broken
        accept -> refuse | notice | gather | answer
        temporary -> permanent | expensive | difficult | accidental
        transparent -> opaque | square | golden | bitter
        profit -> loss | bank | wage | sale
        increase -> decrease | describe | discover | disagree
        humble -> proud | angry | tidy | loyal
        scarce -> abundant | delicate | musical | annual
        rigid -> flexible | horrible | audible | portable
        hostile -> friendly | confused | wealthy | thirsty
        entrance -> exit | roof | hall | desk
        freeze -> melt | slip | pour | bake
        construct -> demolish | organize | purchase | describe
        vertical -> horizontal | mechanical | historical | triangular
        lazy -> diligent | handsome | cheerful | talkative
        conceal -> reveal | rescue | regret | resist
        optimistic -> pessimistic | sympathetic | enthusiastic | aristocratic
        ally -> enemy | uncle | guest | pupil
        artificial -> natural | official | musical | central
        cheap -> expensive | excellent | practical | beautiful
        tight -> loose | sharp | plain | quick
        major -> minor | sober | royal | solar
        forbid -> allow | argue | doubt | borrow
        dawn -> dusk | noon | east | star
        famous -> unknown | uneven | unfair | unwell
        villain -> hero | king | poet | monk
        success -> failure | pleasure | measure | mixture
        absent -> present | patient | private | perfect
        blunt -> sharp | heavy | quiet | round
        winner -> loser | actor | baker | miner
        praise -> criticize | memorize | recognize | organize
        """),
    "arithmetic": items("""
        7 plus 8 -> 15 | 14 | 16 | 13
        6 plus 5 -> 11 | 12 | 10 | 13
        9 plus 4 -> 13 | 12 | 15 | 14
        12 plus 7 -> 19 | 18 | 17 | 20
        23 plus 14 -> 37 | 36 | 38 | 47
        34 plus 27 -> 61 | 51 | 60 | 71
        46 plus 18 -> 64 | 54 | 63 | 66
        52 plus 36 -> 88 | 78 | 86 | 89
        19 plus 22 -> 41 | 31 | 42 | 43
        28 plus 35 -> 63 | 53 | 62 | 73
        60 plus 25 -> 85 | 75 | 80 | 95
        11 plus 33 -> 44 | 34 | 43 | 54
        15 plus 40 -> 55 | 45 | 56 | 65
        37 plus 5 -> 42 | 32 | 41 | 43
        9 minus 4 -> 5 | 6 | 3 | 7
        15 minus 7 -> 8 | 9 | 6 | 5
        18 minus 6 -> 12 | 11 | 13 | 14
        25 minus 9 -> 16 | 14 | 15 | 17
        40 minus 13 -> 27 | 37 | 26 | 23
        50 minus 22 -> 28 | 38 | 27 | 32
        36 minus 14 -> 22 | 21 | 24 | 32
        81 minus 30 -> 51 | 41 | 50 | 61
        64 minus 21 -> 43 | 33 | 42 | 44
        77 minus 45 -> 32 | 22 | 31 | 42
        90 minus 35 -> 55 | 45 | 65 | 50
        14 minus 5 -> 9 | 8 | 7 | 6
        33 minus 17 -> 16 | 26 | 14 | 15
        3 times 4 -> 12 | 14 | 10 | 16
        6 times 7 -> 42 | 48 | 36 | 49
        8 times 9 -> 72 | 63 | 81 | 64
        5 times 7 -> 35 | 30 | 40 | 32
        4 times 9 -> 36 | 32 | 45 | 38
        4 times 7 -> 28 | 24 | 21 | 32
        6 times 3 -> 18 | 12 | 24 | 16
        8 times 4 -> 32 | 28 | 36 | 24
        9 times 6 -> 54 | 45 | 63 | 56
        2 times 13 -> 26 | 23 | 28 | 36
        5 times 12 -> 60 | 50 | 55 | 65
        3 times 11 -> 33 | 36 | 31 | 44
        7 times 8 -> 56 | 54 | 63 | 48
        """),
    "grammar": items("""
        spoons -> The spoons in the old wooden drawer of the kitchen are missing. | The spoons in the old wooden drawer of the kitchen is missing.
        a list -> The list of all the guests and their children was lost. | The list of all the guests and their children were lost.
        a pianist -> The pianist whom the two old critics admire lives in Vienna. | The pianist whom the two old critics admire live in Vienna.
        photographs -> The photographs that my sister took on the island look lovely. | The photographs that my sister took on the island looks lovely.
        a nurse -> The nurse that the doctors trust works at night. | The nurse that the doctors trust work at night.
        dogs -> The dogs that the farmer on the hill bought bark all day. | The dogs that the farmer on the hill bought barks all day.
        forest fires -> The report about the fires in the forests surprises me. | The report about the fires in the forests surprise me.
        a chapel -> Behind the tall trees stands a small chapel. | Behind the tall trees stand a small chapel.
        doves -> On the roof of the barn sit two white doves. | On the roof of the barn sits two white doves.
        new students -> Every one of the new students has a locker. | Every one of the new students have a locker.
        roses -> The scent of the roses in the vases fills the hall. | The scent of the roses in the vases fill the hall.
        farmers -> What worries the farmers is the lack of rain. | What worries the farmers are the lack of rain.
        a singer -> The singer who met the dancers has left the party. | The singer who met the dancers have left the party.
        naughty boys -> The boys who threw the stone have run away. | The boys who threw the stone has run away.
        swimming -> The women that the trainer of the team praises swim every morning. | The women that the trainer of the team praises swims every morning.
        walls -> The colour of the walls in both rooms has faded. | The colour of the walls in both rooms have faded.
        two neighbours -> The neighbours whom the mayor thanked live by the river. | The neighbours whom the mayor thanked lives by the river.
        a trumpet -> The child behind the drummers plays the trumpet. | The child behind the drummers play the trumpet.
        a careless woman -> The woman who called the boys hurt herself. | The woman who called the boys hurt themselves.
        an uncle -> The uncle of the two girls blamed himself. | The uncle of the two girls blamed themselves.
        painting -> My brother's wife taught herself to paint. | My brother's wife taught himself to paint.
        actors -> The actors whom the queen met introduced themselves. | The actors whom the queen met introduced herself.
        dangerous games -> Anna thinks that the boys will hurt themselves. | Anna thinks that the boys will hurt herself.
        fear -> The boys think that Anna will hurt herself. | The boys think that Anna will hurt themselves.
        a bride -> The father of the bride poured himself a drink. | The father of the bride poured herself a drink.
        a lake -> She has swum across the lake twice. | She has swam across the lake twice.
        bells -> The bells have rung since early morning. | The bells have rang since early morning.
        milk -> Somebody has drunk all the milk. | Somebody has drank all the milk.
        a song -> He had begun to write a song. | He had began to write a song.
        a coat -> The old coat was torn at the sleeve. | The old coat was tore at the sleeve.
        a ship -> The ship has sunk near the coast. | The ship has sank near the coast.
        bad weather -> If it had rained, we would have stayed inside. | If it has rained, we would have stayed inside.
        a wish -> I wish that I had a sister. | I wish that I have a sister.
        being late -> When we arrived, the lesson had already started. | When we arrived, the lesson has already started.
        a farewell -> By the time she called, he had left. | By the time she called, he has left.
        a ring -> There was little hope of finding the ring. | There was few hope of finding the ring.
        luggage -> How much luggage did you bring? | How many luggage did you bring?
        snow -> Nobody in the class has ever seen snow. | Somebody in the class has ever seen snow.
        a mountain -> Few people have ever climbed the mountain. | Most people have ever climbed the mountain.
        music -> I look forward to hearing your song. | I look forward to hear your song.
        """),
    "facts": items("""
        Which planet is the closest to the sun? -> Mercury | Neptune | Jupiter | Saturn
        What do cows eat most of the time? -> Grass | Fruit | Meat | Fish
        Which organ pumps blood through the body? -> The heart | The liver | The brain | The skin
        What do we call frozen water? -> Ice | Fog | Dew | Oil
        In which season do many trees lose their leaves? -> Autumn | Summer | Spring | Winter
        Which animal gives us wool? -> The sheep | The horse | The snake | The tiger
        What do we call the young of a cow? -> A calf | A foal | A lamb | A cub
        What is a young frog called? -> A tadpole | A kitten | A duckling | A piglet
        What force pulls a falling apple to the ground? -> Gravity | Friction | Pressure | Magnetism
        Which gas in the air keeps us alive? -> Oxygen | Helium | Hydrogen | Methane
        Which of the animals in the sea is a mammal? -> The dolphin | The shark | The octopus | The salmon
        Which mammal can truly fly? -> The bat | The rat | The cow | The fox
        What is the hardest natural material? -> Diamond | Granite | Marble | Copper
        In which direction does the sun rise? -> In the east | In the west | In the north | In the south
        What colour do you get from mixing blue and yellow? -> Green | Brown | Orange | Violet
        On how many legs does an insect walk? -> Six | Four | Eight | Ten
        What part of a plant takes up water from the soil? -> The roots | The petals | The fruit | The seeds
        What do caterpillars turn into? -> Butterflies | Grasshoppers | Dragonflies | Beetles
        Which star gives the earth its light? -> The sun | Sirius | Polaris | Vega
        What does a thermometer measure? -> Temperature | Pressure | Distance | Humidity
        Which instrument shows where north is? -> A compass | A barometer | A telescope | A microscope
        What is a group of wolves called? -> A pack | A herd | A flock | A swarm
        What are window panes made of? -> Glass | Paper | Cotton | Rubber
        Which animal has the longest neck? -> The giraffe | The leopard | The gorilla | The buffalo
        What do we call the path of a planet around its star? -> An orbit | A comet | A tunnel | A crater
        Which bird swims but cannot fly? -> The penguin | The pigeon | The falcon | The parrot
        What is the largest organ of the human body? -> The skin | The liver | The heart | The brain
        Which food is made from milk? -> Cheese | Bread | Pasta | Honey
        From what is most paper made? -> Wood | Sand | Clay | Iron
        What is the main ingredient of bread? -> Flour | Sugar | Butter | Cheese
        What does the moon cause in the sea? -> Tides | Winds | Storms | Clouds
        With what do fish breathe? -> Gills | Fins | Scales | Tails
        What do we call an animal that eats only plants? -> A herbivore | A carnivore | A predator | A parasite
        Which one is known as the red planet? -> Mars | Venus | Saturn | Uranus
        Which metal does a magnet attract? -> Iron | Gold | Lead | Silver
        What flows out of an erupting volcano? -> Lava | Snow | Milk | Salt
        Which animal carries its young in a pouch? -> The kangaroo | The antelope | The squirrel | The elephant
        What do we call a scientist who studies the stars? -> An astronomer | A geologist | A botanist | A chemist
        What is the smallest living part of a body? -> The cell | The bone | The skin | The nerve
        What is the biggest animal alive? -> The blue whale | The elephant | The giraffe | The white shark
        """),
    "completion": items("""
        The glass slipped from his hand and -> shattered on the floor. | floated to the ceiling. | melted on the carpet. | sank into the wall.
        It began to rain, so Ella opened -> her umbrella. | her present. | her lunchbox. | her diary.
        The baby was hungry, so it began -> to cry for milk. | to cook a meal. | to order pizza. | to set the table.
        The ice cream stood in the sun, and soon it -> had melted. | had frozen. | had hatched. | had grown.
        Tom was tired after the long hike, so he -> went to bed early. | ran another race. | climbed the hill again. | stayed up all night.
        She blew out the candle, and the room -> became dark. | became loud. | became wet. | became larger.
        The dog saw the cat and -> chased it up a tree. | wrote it a letter. | read it a story. | sold it a house.
        He was late for the train, so he -> ran to the station. | walked very slowly. | took a long nap. | cooked some soup.
        The soup was too hot, so she -> blew on her spoon. | put on her coat. | lit another fire. | boiled it again.
        The plants had no water for weeks, so they -> withered and died. | bloomed and grew. | sang and danced. | swam and dived.
        My phone had no power left, so I -> plugged it in. | switched it off. | filled it up. | called a friend.
        The pan was very hot, and Ben -> burned his fingers. | froze his fingers. | combed his fingers. | sold his fingers.
        The flood had destroyed the bridge, so we -> could not cross the river. | drove over the bridge. | stood on the new bridge. | jumped over the river.
        The well had run dry, so the farmer -> had to dig deeper. | drew more water. | took a cold bath. | filled his buckets.
        There was no wind, so the kite -> stayed on the ground. | flew above the roofs. | rose into the clouds. | sailed over the lake.
        The joke was so funny that everybody -> laughed out loud. | fell fast asleep. | wept with grief. | shook with fear.
        The road was covered with ice, and the car -> slid into a ditch. | dried in the heat. | flew over the hill. | sank in the sand.
        He had a bad toothache and went to see -> the dentist. | the plumber. | the barber. | the lawyer.
        To slice the bread, she took -> a sharp knife. | a soft brush. | a wet sponge. | a long spoon.
        The night was clear, and we could see -> many bright stars. | a bright rainbow. | the midday sun. | thick grey fog.
        After the storm, the park was full of -> fallen branches. | fresh pancakes. | sleeping lions. | silver spoons.
        The exam was hard, but Lena had studied a lot and -> passed it easily. | failed it badly. | forgot to come. | knew no answers.
        To keep the milk cold, he put it -> in the fridge. | in the oven. | on the heater. | in the sunshine.
        The cat heard a mouse behind the wall and -> sat still to listen. | picked up the phone. | turned on the lamp. | wrote a short note.
        The museum did not allow photographs, so I -> put my camera away. | took many pictures. | used a bright flash. | filmed every room.
        The shirt was dirty, so he -> put it in the wash. | wore it to a wedding. | sold it as brand new. | put it in the oven.
        Grandmother could not read the small print without -> her glasses. | her slippers. | her necklace. | her umbrella.
        The river rose after days of rain and -> flooded the fields. | dried up at last. | froze to the ground. | went up in flames.
        When the music started, the couples -> began to dance. | began to sneeze. | began to dig. | began to shave.
        The toast stayed in the oven too long and -> turned black. | turned blue. | turned to ice. | turned raw again.
        He wanted to surprise his wife, so he told her -> nothing about the party. | all about the party. | the date of the party. | the place of the party.
        The boat had a hole and slowly -> filled with water. | rose into the air. | ran out of water. | caught fire.
        Because of the fog, the pilot could hardly -> see the runway. | smell the coffee. | lift his pencil. | count to five.
        The winner of the race stepped up and -> got a gold medal. | got a parking fine. | got a sore tooth. | got a new haircut.
        I could not sleep because the people upstairs were -> playing loud music. | sleeping soundly. | reading in silence. | away on holiday.
        She planted the seeds in spring, and in summer -> the flowers bloomed. | the leaves froze. | the seeds were bought. | the stones ripened.
        The boy fell from the swing and -> bruised his knee. | polished his knee. | sharpened his knee. | painted his knee.
        The bag was too heavy for her, so she asked -> for some help. | for more bricks. | for a heavier one. | for extra stones.
        The bus drove off without him, so he -> had to walk home. | found a good seat. | paid the driver. | got off at school.
        The lamp did not work, so she changed -> the bulb. | the carpet. | the ceiling. | the curtain.
        """),
}
